"""Official nuScenes metrics: submission files, ground truth in the form of the devkit, scores."""

"""Official nuScenes metrics: submissions, ground truth as the devkit reads it, scores."""

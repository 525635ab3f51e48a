"""The synthetic world on disk, as a nuScenes data root."""

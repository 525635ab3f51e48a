"""The nuScenes data source: tables and their index, splits, frames, boxes and maps."""

"""Data loading: data sources and their key frames, image pipeline, augmentation and batches."""

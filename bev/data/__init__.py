"""What the model is fed: key frames of data sources, the image pipeline, augmentation, batches."""

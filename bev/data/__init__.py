"""What the model is fed: nuScenes key frames, the image pipeline, augmentation and batches."""

"""Corruptions of camera images: the eight of RoboBEV, for evaluation and as augmentation."""

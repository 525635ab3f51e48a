"""Pictures of what a network computes for one sample."""

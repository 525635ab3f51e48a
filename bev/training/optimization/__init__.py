"""Optimiser, learning rate schedule, stages and averaged weights."""

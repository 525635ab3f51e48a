"""Measured speed and memory: the work of ``bevlab benchmark``."""

"""Measurement of speed and memory: implementation of ``bevlab benchmark``."""

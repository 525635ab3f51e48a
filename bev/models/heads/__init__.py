"""Heads: outputs from BEV or image features, losses and decoding."""

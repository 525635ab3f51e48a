"""Heads: BEV or image features to outputs, their losses and their decoding."""

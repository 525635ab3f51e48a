"""Surfaces that a BEV is drawn on: pixels, or a vector graphic."""

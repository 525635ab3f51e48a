"""Breakdown of an evaluation of boxes: where, on what and how a detector fails.

Everything here follows from the boxes that count in the metrics and from their matches, so figures
of a part of the boxes agree with the figure of all of them.
"""

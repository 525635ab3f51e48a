"""Evaluation of a split: one evaluator a head, boxes scored as their data source is."""

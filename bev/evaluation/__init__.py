"""Evaluation of a split: one evaluator per head; the data source chooses the metrics of boxes."""

"""Several processes: how they start, what they share in training, and how they evaluate."""

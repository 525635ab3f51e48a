"""How weights change: optimiser, learning rate schedule, stages, averaged weights."""

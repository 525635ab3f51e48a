"""Training with Lightning: module, data module, averaged weights, callbacks and runs."""

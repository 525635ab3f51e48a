"""Training on Lightning: the module, the data module, averaged weights, callbacks, the run."""

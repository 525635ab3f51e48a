"""TensorBoard event files of a run: scalars, curves, pictures, graph, histograms, settings.

The settings are ``train.tensorboard``. Nothing here ends a training: the first error is a warning.
"""

"""CenterPoint's detection head: outputs, targets, loss, decoding, non-maximum suppression."""

"""Detection head of CenterPoint: outputs, targets, loss, decoding, non-maximum suppression."""

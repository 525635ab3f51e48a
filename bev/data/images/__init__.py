"""Image pipeline: decoding, warping, cache of decoded images, photometric changes and GridMask."""

"""Images: decoding and warping, the cache of decoded ones, colours and masks."""

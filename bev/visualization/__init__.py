"""Drawing: boxes and maps over images and in the BEV, pages and video of them."""

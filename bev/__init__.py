"""Camera-only bird's-eye-view (BEV) 3D perception: from images of a camera ring to 3D boxes."""

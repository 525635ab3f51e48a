"""Videos of scenes."""

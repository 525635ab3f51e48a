"""Rendering of a scene's images: ground, sky, weather, and items painted from far to near."""

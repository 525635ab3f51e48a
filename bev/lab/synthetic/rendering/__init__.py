"""Images of a scene: ground, sky, weather, and items painted from far to near."""

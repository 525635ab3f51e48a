"""Scenes of the synthetic world: road, traffic and motion."""

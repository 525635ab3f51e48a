"""A scene of the synthetic world: its road, its traffic, and how everything moves."""

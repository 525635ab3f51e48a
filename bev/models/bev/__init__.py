"""BEV encoders and temporal fusion."""

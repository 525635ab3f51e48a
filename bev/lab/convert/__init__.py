"""Conversion of published checkpoints to checkpoints of this project, tensor by tensor."""

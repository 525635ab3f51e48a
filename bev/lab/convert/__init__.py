"""Published checkpoints of others as checkpoints of this project, tensor by tensor."""

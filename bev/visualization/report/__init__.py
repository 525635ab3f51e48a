"""Report page of an evaluation or a run, and its charts."""

"""The build cache: what a step depends on, whether that was seen before, and why not."""

"""From an image to a running process: specs, users, networks, steps, containers."""

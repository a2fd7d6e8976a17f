"""What goes in and out of a container: frames, terminals, logs."""

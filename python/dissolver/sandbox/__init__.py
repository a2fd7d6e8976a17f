"""What a sandboxed process gets: users, layers, confinement, and one maker of specifications."""

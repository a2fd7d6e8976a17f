"""Networks of containers and steps: plans, and what carries them out."""

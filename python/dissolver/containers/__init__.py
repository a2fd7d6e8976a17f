"""Containers: their records, their life, what watches over them, and their files."""

"""The functions that expressions of bake files may call.

They are those of buildx: https://docs.docker.com/build/bake/stdlib/.
"""

"""Dockerfiles: text in, a tree of instructions with their places out.

Everything in here is pure. ``parse`` reads a file, ``expand`` replaces variables
in its words, ``ignore`` reads ``.dockerignore``.
"""

"""The conductor: from a request to an image, step by step.

``request`` says what is wanted, ``builder`` carries it out, ``events`` tells
what happens meanwhile. Import from the modules; this package imports nothing,
so that a command pays only for what it uses.
"""

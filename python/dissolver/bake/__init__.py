"""Bake files: several builds described in one place, in HCL, JSON or as a compose file.

``sources`` finds and reads the files, ``hcl`` and ``compose`` make sense of them,
``evaluation`` gives variables and targets their values, ``selection`` picks what is
wanted, and ``requests`` says it in the words of a build. Nothing here builds anything.
"""

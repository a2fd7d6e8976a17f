"""Plans: from the instructions of a Dockerfile to the steps of a build.

Everything in here is pure: no file system, clock or environment. ``graph`` finds
the stages and what they need, ``lower`` turns the instructions of a stage into
steps, ``explain`` shows the result.
"""

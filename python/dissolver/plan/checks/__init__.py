"""Checks: what builds, and will be regretted.

``rules`` lists the rules, one module per subject finds their violations, ``run`` puts them
together, ``report`` words the findings and ``fix`` applies what can be rewritten safely.
Everything in here is pure.
"""

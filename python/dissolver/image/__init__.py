"""What an image is: references, digests, platforms and configurations.

Everything in here is pure. ``reference``, ``digest`` and ``platform`` load nothing
heavy; ``config``, ``mutate`` and ``validate`` need msgspec.
"""

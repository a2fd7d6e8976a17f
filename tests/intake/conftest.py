"""Every test here has a store of its own."""

from __future__ import annotations

from shelf import hears_interrupts, store

__all__ = ["hears_interrupts", "store"]

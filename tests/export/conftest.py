"""Every test here has a store of its own."""

from __future__ import annotations

from shelf import store

__all__ = ["store"]

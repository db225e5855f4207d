"""Bundles, which workstation and device exchange: reading, checking, writing. Nothing in one is ever executed."""

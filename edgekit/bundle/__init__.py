"""Bundles: the border between workstation and device. Reading, checking, packing; nothing in one is ever executed."""

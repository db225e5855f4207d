"""Soft maps in a few bytes per pixel, and back: what kinds use to store an ensemble's predictions."""

from __future__ import annotations

import numpy as np

Arrays = dict[str, np.ndarray]


def to_bytes(share: np.ndarray) -> np.ndarray:
    """Values in 0-1 as √v in 8 bits: steps of 1/65025 near 0, of 1/128 near 1."""
    return np.rint(np.sqrt(np.clip(share, 0, 1)) * 255).astype(np.uint8)


def from_bytes(stored: np.ndarray) -> np.ndarray:
    """What ``to_bytes`` stored, float32 in 0-1."""
    return np.square(stored.astype(np.float32) / 255)


def store_probabilities(soft: np.ndarray, keep: str, top: int) -> Arrays:
    """(h, w, C) in 8 bits each, fine near 0, which matters to losses with a temperature.

    keep  ``full``: all of them; ``topk``: the ``top`` best; ``argmax``: the winner and its probability
    """
    count = 1 if keep == "argmax" else top
    if keep == "full" or soft.shape[-1] <= count:
        return {"p": to_bytes(soft)}
    best = np.argsort(-soft, axis=-1, kind="stable")[..., :count]
    return {"best": best.astype(np.uint8), "p": to_bytes(np.take_along_axis(soft, best, -1))}


def restore_probabilities(arrays: Arrays, classes: int) -> np.ndarray:
    """(h, w, C) again; what was left out comes back as equal shares of the missing probability."""
    p = from_bytes(arrays["p"])
    if "best" not in arrays:
        return p / np.maximum(p.sum(-1, keepdims=True), 1e-6) if p.shape[-1] > 1 else p
    rest = np.maximum(1 - p.sum(-1, keepdims=True), 0) / max(1, classes - p.shape[-1])
    rest = np.minimum(rest, np.float32(0.999) * p[..., -1:])  # rounding lifts nothing above what was kept
    soft = np.broadcast_to(rest, (*p.shape[:-1], classes)).copy()
    np.put_along_axis(soft, arrays["best"].astype(np.int64), p, -1)
    return soft / soft.sum(-1, keepdims=True)

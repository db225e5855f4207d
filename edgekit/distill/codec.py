"""How an ensemble's prediction becomes a few bytes per pixel, and comes back."""

from __future__ import annotations

import numpy as np

from edgekit.data.batches import SoftMap
from edgekit.losses import Content
from edgekit.tasks import Task


def encode(task: Task, target: SoftMap, keep: Content, top: int) -> dict[str, np.ndarray]:
    """Arrays to store.

    Class and binary probabilities become √p in 8 bits: steps of 1/65025 near 0, where softened losses look, and of
    1/128 near 1. ``argmax`` keeps the winner and its probability, ``topk`` the ``top`` best. Depth becomes 16 bits,
    normals 8 bits a component (to 0.4°), disagreement √ in 8 bits, for most of it is near 0.
    """
    arrays = {"disagreement": _to_bytes(1 - target.agreement)}
    if task.kind == "depth":
        return arrays | {"depth": np.rint(np.clip(target.soft, 0, 1) * 65535).astype(np.uint16)}
    if task.kind == "normals":
        return arrays | {"normals": np.rint(np.clip(target.soft, -1, 1) * 127).astype(np.int8)}
    classes = target.soft.shape[-1]
    if keep == "full" or classes <= (1 if keep == "argmax" else top):
        return arrays | {"p": _to_bytes(target.soft)}
    count = 1 if keep == "argmax" else top
    best = np.argsort(-target.soft, axis=-1, kind="stable")[..., :count]
    return arrays | {"best": best.astype(np.uint8), "p": _to_bytes(np.take_along_axis(target.soft, best, -1))}


def decode(task: Task, arrays: dict[str, np.ndarray], classes: int) -> SoftMap:
    """What ``encode`` stored, as probabilities, encoded depth or unit normals.

    What ``argmax`` and ``topk`` left out comes back as equal shares of the missing probability.
    """
    agreement = 1 - np.square(arrays["disagreement"].astype(np.float32) / 255)
    if task.kind == "depth":
        return SoftMap(arrays["depth"].astype(np.float32) / 65535, agreement)
    if task.kind == "normals":
        normals = arrays["normals"].astype(np.float32)
        return SoftMap(normals / np.maximum(np.linalg.norm(normals, axis=-1, keepdims=True), 1e-6), agreement)
    p = np.square(arrays["p"].astype(np.float32) / 255)
    if "best" not in arrays:
        if p.shape[-1] > 1:
            p /= np.maximum(p.sum(-1, keepdims=True), 1e-6)
        return SoftMap(p, agreement)
    rest = np.maximum(1 - p.sum(-1, keepdims=True), 0) / max(1, classes - p.shape[-1])
    rest = np.minimum(rest, np.float32(0.999) * p[..., -1:])  # rounding lifts nothing above what was kept
    soft = np.broadcast_to(rest, (*p.shape[:-1], classes)).copy()
    np.put_along_axis(soft, arrays["best"].astype(np.int64), p, -1)
    return SoftMap(soft / soft.sum(-1, keepdims=True), agreement)


def _to_bytes(probability: np.ndarray) -> np.ndarray:
    return np.rint(np.sqrt(np.clip(probability, 0, 1)) * 255).astype(np.uint8)

"""Which modalities a forward pass sees: one hyper-edge of the graph."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edgekit.teachers.config import MaskingConfig


def draw_visible(rng: np.random.Generator, modalities: Sequence[str], config: MaskingConfig) -> np.ndarray:
    """One random masking: (M,) bool, True = visible; never empty."""
    kept = np.array([name in config.keep for name in modalities])
    count = len(modalities)
    if rng.random() < config.full:
        return np.ones(count, bool)
    if config.distribution == "count":
        visible = np.zeros(count, bool)
        visible[rng.permutation(count)[: rng.integers(1, count + 1)]] = True
        return visible | kept
    while True:
        visible = (rng.random(count) >= config.hide) | kept
        if visible.any():
            return visible


def distinct_maskings(count: int, modalities: Sequence[str], config: MaskingConfig, seed: int) -> list[np.ndarray]:
    """``count`` different maskings for inference, the first with everything visible.

    Fewer where so many do not exist (M modalities have at most 2^M − 1) or training practically never draws them: an
    ensemble gains nothing from a repeated masking, nor from one that was never trained.
    """
    rng = np.random.default_rng([seed, 4])
    found = [np.ones(len(modalities), bool)]
    seen = {found[0].tobytes()}
    kept = sum(name in config.keep for name in modalities)
    count = min(count, 2 ** (len(modalities) - kept) - (kept == 0))
    for _ in range(200 * count):
        if len(found) >= count:
            break
        visible = draw_visible(rng, modalities, config)
        if visible.tobytes() not in seen:
            seen.add(visible.tobytes())
            found.append(visible)
    return found

"""From measures to a choice: quality, relevance and diversity, multiplied."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from edgekit.data.select.greedy import METHODS, Choice
from edgekit.data.select.measure import DEFECTS, Measured

WEIGHTS = ("quality", "relevance", "diversity")
_USUAL = 8  # frames; a scene with fewer is compared with all frames
_LEAST_SPREAD = (0.03, 0.05, 0.1)  # least robust deviation of each defect
_FLOOR = 0.05
_LEAST_SHARE = 1e-3  # a class counts as no rarer


@dataclass(frozen=True)
class Ranking:
    """Of n measured frames: ``quality`` and ``relevance`` (n,), the ``features`` (n, d) they are compared by, the
    ``choice``, and ``why``: frame -> words for what speaks for or against it."""

    quality: np.ndarray
    relevance: np.ndarray
    features: np.ndarray
    choice: Choice
    why: list[str]


def choose(
    measured: Measured,
    count: int,
    *,
    kept: Sequence[int] = (),
    weights: Mapping[str, float] | None = None,
    method: str = "facility-location",
) -> Ranking:
    """Choose ``count`` frames by ``quality**a * relevance**b * gain**c``, with a, b, c in ``weights`` (default: 1).

    ``kept``: frames that are chosen already; what they show adds nothing again.
    """
    power = {name: (weights or {}).get(name, 1.0) for name in WEIGHTS}
    scenes = [frame.scene for frame in measured.frames]
    defects = zip(measured.defects.T, _LEAST_SPREAD, strict=True)
    factors = np.stack([_quality(column, scenes, least) for column, least in defects], axis=1)
    quality = factors.prod(axis=1)
    reasons = _reasons(measured)
    relevance = 0.5 + 0.5 * np.mean(list(reasons.values()), axis=0) if reasons else np.ones(len(scenes))
    features = _features(measured.blocks)
    value = quality ** power["quality"] * relevance ** power["relevance"]
    choice = METHODS[method](features, value, count, kept, power["diversity"])
    return Ranking(quality, relevance, features, choice, [_words(i, factors, reasons) for i in range(len(scenes))])


def _quality(defect: np.ndarray, scenes: Sequence[str], least: float) -> np.ndarray:
    """Quality is 1 up to one robust deviation above the scene's median and falls to 0.05 at about four.

    A film at night, or over calm water, is thus compared with itself; one of few frames is compared with all frames.
    """
    out = np.ones(len(defect))
    names, of = np.unique(np.asarray(scenes, dtype=object).astype(str), return_inverse=True)
    for scene in range(len(names)):
        own = of == scene
        group = defect[own] if own.sum() >= _USUAL else defect
        middle = np.median(group)
        spread = max(1.4826 * float(np.median(np.abs(group - middle))), least)
        out[own] = np.clip(1 - (defect[own] - middle - spread) / (3 * spread), _FLOOR, 1)
    return out


def _reasons(measured: Measured) -> dict[str, np.ndarray]:
    """What makes a frame relevant, each as (n,) ranks 0-1."""
    found = {}
    if measured.disagreement.size:
        found["predictions disagree"] = np.mean([_rank(column) for column in measured.disagreement.T], axis=0)
    if measured.shares:
        ranks = []
        for shares in measured.shares:
            rarity = 1 / np.sqrt(np.maximum(np.nanmean(shares, axis=0), _LEAST_SHARE))
            ranks.append(_rank(shares @ rarity))
        found["rare classes predicted"] = np.mean(ranks, axis=0)
    return found


def _rank(values: np.ndarray) -> np.ndarray:
    """The share of the other frames that have less, ties in the middle; 0.5 for NaN."""
    known = np.sort(values[~np.isnan(values)])
    if len(known) < 2:
        return np.full(len(values), 0.5)
    below, upto = np.searchsorted(known, values, "left"), np.searchsorted(known, values, "right")
    return np.where(np.isnan(values), 0.5, (below + upto - 1) / 2 / (len(known) - 1))


def _features(blocks: Sequence[np.ndarray]) -> np.ndarray:
    """(n, d): each column without its mean, each block scaled to the same total variance."""
    columns = []
    for block in blocks:
        centred = block.astype(np.float64) - block.mean(axis=0, dtype=np.float64)
        columns.append(centred / max(np.sqrt(np.square(centred).sum(axis=1).mean()), 1e-6))
    return np.concatenate(columns, axis=1)


def _words(index: int, factors: np.ndarray, reasons: Mapping[str, np.ndarray]) -> str:
    said = [name for name, factor in zip(DEFECTS, factors[index], strict=True) if factor < 0.5]
    said += [name for name, ranks in reasons.items() if ranks[index] >= 0.8]
    return ", ".join(said)

"""Entropy: clip where 128 levels lose the least information (the KL method of TensorRT)."""

from __future__ import annotations

import numpy as np

from edgekit.quantize.histogram import BINS, Histogram
from edgekit.quantize.observers.observer import LEVELS, Observer

SEARCH_BINS = 1 << 12  # bins of the search; the largest magnitude lies in the upper half of them
_BLIND = 0.99


class Entropy(Observer):
    """S. Migacz, "8-bit inference with TensorRT", GTC 2017, in the form of NVIDIA's pytorch-quantization.

    For every number of bins i ≥ 128: P is the histogram's first i bins, what lies beyond added to the last; Q is the
    first i bins summed in 128 equal groups, each sum spread evenly over the bins of its group that are not empty.
    The threshold is the edge of the largest i that minimises KL(P‖Q). The first bin, mostly the zeros of a ReLU, counts
    as much as the second.
    """

    def threshold(self, seen: Histogram) -> float:
        factor = BINS // SEARCH_BINS
        near = seen.counts[:factor].copy()  # in the first bin of the search, and not zero
        near[0] -= seen.zeros
        if near.sum() > _BLIND * (seen.counts.sum() - seen.zeros + seen.beyond[1].sum()):
            # An outlier has left all else in one bin. Where most of it lies is where to look closer.
            return (1 + int(np.searchsorted(np.cumsum(near), 0.999 * near.sum()))) * seen.width
        counts = seen.counts.reshape(SEARCH_BINS, factor).sum(axis=1)
        # Zoomed in, counts are the lower part of all that was seen.
        counts = counts[: max(LEVELS, int(np.flatnonzero(counts)[-1]) + 1)] if counts.any() else counts[:LEVELS]
        best = best_bin_count(counts, outliers=int(seen.beyond[1].sum()))
        return min(best * seen.width * factor, seen.largest)


def best_bin_count(counts: np.ndarray, outliers: int = 0) -> int:
    """The number of bins i, 128 ≤ i ≤ len(counts), that minimises KL(P‖Q), the largest among equals.

    All i at once: KL(P‖Q) = Σ p·log p − Σ p·log q, where the first sum grows by one term with i, and q is constant on
    the filled bins of a group, so that the second needs sums over groups only, which prefix sums give.
    """
    h = np.asarray(counts, np.float64).copy()
    h[0] = h[1]
    mass = np.concatenate([[0.0], np.cumsum(h)])
    filled = np.concatenate([[0], np.cumsum(h > 0)])
    h_log_h = np.concatenate([[0.0], np.cumsum(_x_log_x(h))])
    total = mass[-1] + outliers

    i = np.arange(LEVELS, len(h) + 1)  # candidates
    # Group g holds the bins j with edge_g ≤ j < edge_{g+1}, edges g·i/128 rounded up.
    edges = -(-np.arange(LEVELS + 1)[None, :] * i[:, None] // LEVELS)  # (candidates, 129)
    sums, sizes = np.diff(mass[edges], axis=1), np.diff(filled[edges], axis=1)
    level = np.log(np.where(sums > 0, sums, 1.0) / np.maximum(sizes, 1))  # log of q before it is normalised
    inside, last = mass[i], h[i - 1]
    tail = total - inside  # what P's last bin takes over
    with np.errstate(divide="ignore", invalid="ignore"):
        p_log_p = (h_log_h[i] - _x_log_x(last) + _x_log_x(last + tail)) / total - np.log(total)
        p_log_q = ((sums * level).sum(axis=1) + tail * level[:, -1]) / total - np.log(inside)
        divergence = p_log_p - p_log_q
    # P has mass in its last bin where Q has none.
    divergence[((last == 0) & (tail > 0)) | (inside == 0)] = np.inf
    if not np.isfinite(divergence).any():
        return len(h)
    # The last of equals, where equal means up to rounding: histograms that 128 levels hold have KL = 0 for many i.
    best = divergence.min()
    return int(i[np.flatnonzero(divergence <= best + 1e-12 * max(1.0, abs(best)))[-1]])


def _x_log_x(x: np.ndarray) -> np.ndarray:
    return x * np.log(np.where(x > 0, x, 1.0))

"""Roads and rivers as curves that close on themselves round the torus."""

from __future__ import annotations

import cv2
import numpy as np

from edgekit.data.scenes.grid import WORLD


def cheapest_curve(cost: np.ndarray, bend: float, smooth: float) -> np.ndarray:
    """Closed curve along x over a periodic cost map (m, m) of least summed cost, as points (k, 2) in metres.

    Dynamic programming over columns; a step of dy cells costs ``bend * dy ** 2``. The curve is then smoothed by a
    Gaussian of ``smooth`` metres and sampled every metre or so. The last point is the first one period further.
    """
    m = cost.shape[0]
    moves = np.arange(-2, 3)
    start = int(np.argmin(cost[:, 0]))
    total = np.full(m, np.inf)
    total[start] = 0.0
    taken = np.zeros((m, m), np.int64)
    for column in range(1, m + 1):
        arrive = np.stack([np.roll(total, move) + bend * move * move for move in moves])
        best = arrive.argmin(axis=0)
        taken[column - 1] = best
        total = arrive[best, np.arange(m)] + cost[:, column % m]
    steps = np.zeros(m, np.int64)
    row = start
    for column in range(m, 0, -1):
        steps[column - 1] = moves[taken[column - 1, row]]
        row = (row - steps[column - 1]) % m
    rows = start + np.concatenate([[0], np.cumsum(steps)]).astype(float)
    drift = rows[-1] - rows[0]  # 0 or a whole number of periods

    scale, fine = WORLD / m, 8
    along = np.arange(m * fine) / fine
    wiggle = np.interp(along, np.arange(m + 1), rows) - drift * along / m
    frequency = np.fft.rfftfreq(m * fine, d=scale / fine)
    wiggle = np.fft.irfft(np.fft.rfft(wiggle) * np.exp(-2 * (np.pi * frequency * smooth) ** 2), n=m * fine)
    points = np.stack([along, wiggle + drift * along / m], axis=1) * scale
    return np.concatenate([points, [points[0] + (WORLD, drift * scale)]])


def transpose(curve: np.ndarray) -> np.ndarray:
    """The curve with x and y exchanged."""
    return np.ascontiguousarray(curve[:, ::-1])


def tangents(curve: np.ndarray) -> np.ndarray:
    """Unit tangents (k, 2) of a curve (k, 2)."""
    step = np.gradient(curve, axis=0)
    return step / np.linalg.norm(step, axis=1, keepdims=True)


def arc_length(curve: np.ndarray) -> np.ndarray:
    """Metres (k,) along a curve (k, 2) from its first point to each."""
    return np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(curve, axis=0), axis=1))])


def sideways(direction: np.ndarray) -> np.ndarray:
    """A direction (2,) turned by a quarter."""
    return np.array([-direction[1], direction[0]])


def draw_lines(n: int, curves: list[np.ndarray], width: float, dash: float = 0.0) -> np.ndarray:
    """Coverage (n, n) uint8 0-255 of lines ``width`` metres wide; ``dash`` metres on, ``dash`` metres off."""
    canvas = np.zeros((n, n), np.uint8)
    scale, shift = n / WORLD, 4
    pieces = []
    for curve in curves:
        if dash:
            phase = np.floor(arc_length(curve) / dash).astype(int)
            pieces += [curve[phase == k] for k in range(0, phase[-1] + 1, 2)]
        else:
            pieces.append(curve)
    lines = []
    for piece in pieces:
        if len(piece) < 2:
            continue
        low, high = np.floor((piece.min(axis=0) - width) / WORLD), np.floor((piece.max(axis=0) + width) / WORLD)
        for i in range(int(low[0]), int(high[0]) + 1):
            for j in range(int(low[1]), int(high[1]) + 1):
                shifted = (piece - np.array([i, j]) * WORLD) * scale
                lines.append(np.round(shifted * (1 << shift)).astype(np.int32).reshape(-1, 1, 2))
    cv2.polylines(canvas, lines, False, 255, max(1, int(round(width * scale))), cv2.LINE_AA, shift)
    return canvas

"""Smooth random fields that repeat without a seam: every map of a world is a torus."""

from __future__ import annotations

import cv2
import numpy as np


def spectral(rng: np.random.Generator, n: int, low: float, high: float, slope: float = 1.5) -> np.ndarray:
    """Periodic Gaussian field (n, n) float32 of zero mean and unit deviation.

    Its waves go ``low`` to ``high`` times round the torus, their amplitude falling as frequency ** -slope.
    """
    frequency = np.hypot(np.fft.fftfreq(n)[:, None], np.fft.rfftfreq(n)[None]) * n
    band = np.flatnonzero((frequency >= low) & (frequency <= high))
    spectrum = np.zeros(frequency.shape, np.complex64)
    waves = rng.standard_normal((2, len(band)), dtype=np.float32)
    spectrum.ravel()[band] = (waves[0] + 1j * waves[1]) * frequency.ravel()[band] ** -slope
    field = np.fft.irfft2(spectrum, s=(n, n))
    field -= field.mean()
    field /= field.std()
    return field


def enlarge(field: np.ndarray, n: int, interpolation: int = cv2.INTER_CUBIC) -> np.ndarray:
    """Resize a periodic map (m, m[, C]) to (n, n[, C]) without a seam."""
    m, pad = field.shape[0], 4
    if m == n:
        return field
    scale = n // m
    wide = cv2.copyMakeBorder(field, pad, pad, pad, pad, cv2.BORDER_WRAP)
    wide = cv2.resize(wide, None, fx=scale, fy=scale, interpolation=interpolation)
    return wide[pad * scale : pad * scale + n, pad * scale : pad * scale + n]


def blur(field: np.ndarray, sigma: float) -> np.ndarray:
    """Gaussian blur of a periodic map; sigma in cells."""
    pad = min(int(3 * sigma) + 2, field.shape[0])
    wide = cv2.copyMakeBorder(field, pad, pad, pad, pad, cv2.BORDER_WRAP)
    return cv2.GaussianBlur(wide, (0, 0), sigma)[pad:-pad, pad:-pad]


def distance(mask: np.ndarray, pad: int = 64) -> np.ndarray:
    """Distance in cells of every cell of a periodic map to the nearest True cell (at most about ``pad``)."""
    wide = cv2.copyMakeBorder((~mask).astype(np.uint8), pad, pad, pad, pad, cv2.BORDER_WRAP)
    return cv2.distanceTransform(wide, cv2.DIST_L2, 5)[pad:-pad, pad:-pad]


def smoothstep(low: float, high: float, value: np.ndarray) -> np.ndarray:
    """0 below ``low``, 1 above ``high``, a cubic between."""
    t = np.clip((value - low) / (high - low), 0.0, 1.0)
    return t * t * (3.0 - 2.0 * t)

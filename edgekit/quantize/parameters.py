"""Scales and zero-points: real = scale · (integer − zero-point)."""

from __future__ import annotations

import numpy as np

from edgekit.engine.calibration_cache import INT8_MOST

Range = tuple[float, float]

REDUCED_MOST = 64  # 255 · 64 · 2 fits 16 bits
_BIAS_MOST = np.iinfo(np.int32).max


def unsigned(lo_hi: Range) -> tuple[np.float32, np.uint8]:
    """(scale, zero-point) of 0..255 over (lo, hi), zero included: (hi − lo) / 255, and −lo / scale rounded to even.

    A range of zero width has the scale 1.
    """
    lo, hi = (np.float64(np.float32(v)) for v in lo_hi)
    lo, hi = min(lo, 0.0), max(hi, 0.0)
    scale = (hi - lo) / 255.0
    if scale < np.finfo(np.float32).tiny:
        return np.float32(1.0), np.uint8(0)
    return np.float32(scale), np.uint8(np.round(-lo / scale))


def per_channel(weight: np.ndarray, axis: int, most: int = INT8_MOST) -> np.ndarray:
    """(channels,) float32: max|w| of each channel along ``axis``, divided by ``most``; 1 for a channel of zeros."""
    return _positive(largest(weight.astype(np.float32), axis) / np.float32(most))


def with_room_for_bias(scales: np.ndarray, input_scale: np.float32, bias: np.ndarray) -> np.ndarray:
    """Weight scales, raised where the bias in steps of input scale · weight scale would not fit 32 bits.

    A channel that training has silenced has tiny weights and an ordinary bias.
    """
    least = 1.0001 * np.abs(bias.astype(np.float64)) / _BIAS_MOST / np.float64(input_scale)
    return np.maximum(scales, least.astype(np.float32))


def in_float16(scales: np.ndarray) -> np.ndarray:
    """Scales rounded up to what float16 holds, so that nothing is clipped that was not and no scale becomes zero."""
    rounded = np.asarray(scales, np.float32).astype(np.float16)
    above = np.where(rounded.astype(np.float32) < scales, np.nextafter(rounded, np.float16(np.inf)), rounded)
    return above.astype(np.float32)


def to_int8(weight: np.ndarray, scales: np.ndarray, axis: int, most: int = INT8_MOST) -> np.ndarray:
    """Weights in steps of their channel's scale, rounded to even."""
    steps = np.round(weight.astype(np.float32) / along(scales, axis, weight.ndim))
    return np.clip(steps, -most, most).astype(np.int8)


def to_int32(bias: np.ndarray, scales: np.ndarray) -> np.ndarray:
    """Bias in steps of input scale · weight scale."""
    return np.clip(np.round(bias.astype(np.float64) / scales), -_BIAS_MOST, _BIAS_MOST).astype(np.int32)


def largest(weight: np.ndarray, axis: int) -> np.ndarray:
    """(channels,): max|w| of each channel along ``axis``."""
    return np.abs(weight).max(axis=tuple(a for a in range(weight.ndim) if a != axis))


def along(scales: np.ndarray, axis: int, rank: int) -> np.ndarray:
    """Values (channels,) in the shape that multiplies an array of ``rank`` dimensions along ``axis``."""
    return scales.reshape([-1 if a == axis else 1 for a in range(rank)])


def _positive(scale):
    return np.where(scale < np.finfo(np.float32).tiny, np.float32(1.0), scale).astype(np.float32)[()]

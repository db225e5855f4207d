"""Scales and zero-points against exact arithmetic and against what they are for."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
from hypothesis import assume, given
from hypothesis import strategies as st

from edgekit.engine.calibration_cache import symmetric_scale
from edgekit.quantize import parameters

FINITE = st.floats(-1e4, 1e4, width=32)


def nearest_float32(value: Fraction) -> np.float32:
    """The float32 closest to an exact number."""
    guess = np.float32(float(value))
    near = [np.nextafter(guess, np.float32(-np.inf)), guess, np.nextafter(guess, np.float32(np.inf))]
    return min(near, key=lambda f: abs(Fraction(float(f)) - value))


@given(st.integers(1, 6), st.integers(0, 2**32 - 1))
def test_scales_per_channel_are_the_definition_bit_by_bit(channels, seed):
    rng = np.random.default_rng(seed)
    weight = (rng.standard_normal((channels, 3, 3, 3)) * np.exp(rng.normal(0, 4))).astype(np.float32)
    scales = parameters.per_channel(weight, 0)
    transposed = parameters.per_channel(np.ascontiguousarray(weight.swapaxes(0, 1)), 1)
    for c in range(channels):
        expected = nearest_float32(Fraction(float(np.abs(weight[c]).max())) / 127)
        assert scales[c].tobytes() == expected.tobytes() == transposed[c].tobytes()


@given(FINITE, FINITE)
def test_signed_scale_is_the_definition_bit_by_bit(a, b):
    lo, hi = min(a, b, 0.0), max(a, b, 0.0)
    most = max(-lo, hi)
    usable = most >= 128 * float(np.finfo(np.float32).tiny)
    expected = nearest_float32(Fraction(most) / 127) if usable else np.float32(1)
    assume(usable or most == 0)
    assert symmetric_scale(lo, hi) == expected


@given(FINITE, FINITE)
def test_unsigned_covers_the_range_and_holds_zero_exactly(a, b):
    lo, hi = min(a, b, 0.0), max(a, b, 0.0)
    scale, zero = parameters.unsigned((lo, hi))
    assert scale > 0 and zero == int(zero) and 0 <= zero <= 255  # zero is a step of its own
    if hi - lo > 1e-30:
        # By at most half a step either end may be cut off, since zero has to be on a step.
        assert scale * (0.0 - float(zero)) <= lo + 0.51 * scale
        assert scale * (255.0 - float(zero)) >= hi - 0.51 * scale


def test_a_range_of_nothing_has_a_usable_scale():
    assert parameters.unsigned((0.0, 0.0)) == (1.0, 0)
    assert symmetric_scale(0.0, 0.0) == 1.0
    assert parameters.per_channel(np.zeros((2, 1, 1, 1), np.float32), 0).tolist() == [1.0, 1.0]


def test_weights_are_rounded_to_the_nearest_step():
    weight = np.float32([[-2.0, 0.4, 1.0], [0.0, 10.0, -0.039]])
    integers = parameters.to_int8(weight, parameters.per_channel(weight, 0), 0)
    assert integers.tolist() == [[-127, 25, 64], [0, 127, 0]]  # 25.4, 63.5 to even, 0.495


def test_a_silenced_channel_keeps_its_bias():
    """Weights of 1e-12 and a bias of 3: in steps of their product the bias would need 44 bits."""
    scales = np.float32([1e-12 / 127, 0.1])
    raised = parameters.with_room_for_bias(scales, np.float32(0.02), np.float32([3.0, 3.0]))
    assert raised[1] == scales[1]
    steps = (np.float32(0.02) * raised).astype(np.float32)
    np.testing.assert_allclose(parameters.to_int32(np.float32([3.0, 3.0]), steps) * steps.astype(float), 3.0, rtol=1e-3)


@given(st.floats(2.0**-23, 60000.0, width=32))
def test_float16_scales_are_the_next_above(value):
    scale = np.float32(value)
    stored = parameters.in_float16(scale)
    assert stored >= scale > 0
    assert np.float16(stored).astype(np.float32) == stored
    below = np.nextafter(np.float16(stored), np.float16(0)).astype(np.float32)
    assert below < scale


def test_reduced_range_cannot_saturate_sixteen_bits():
    assert np.iinfo(np.int16).max >= 2 * 255 * parameters.REDUCED_MOST
    assert np.iinfo(np.int16).max < 2 * 255 * parameters.INT8_MOST

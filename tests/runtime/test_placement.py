"""Letterbox and stretch against their definition, pixel by pixel: where pixels go and where they come back."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from edgekit.bundle.manifest import Preprocessing, Tensor
from edgekit.runtime.placement import FramePlacement
from edgekit.runtime.preprocess import Preprocessor

PAD, MEAN, STD = (10, 20, 30), (10.0, 20.0, 30.0), (50.0, 60.0, 70.0)
sizes = st.tuples(st.integers(1, 70), st.integers(1, 70))
fits = st.sampled_from(["letterbox", "stretch"])


def contract(size: tuple[int, int], fit: str) -> Preprocessing:
    return Preprocessing(size, fit, PAD, MEAN, STD)


def uint8_input(pre: Preprocessing, batch: int = 1) -> Tensor:
    return Tensor("frames", "uint8", (batch, *pre.size, 3))


def float_input(pre: Preprocessing) -> Tensor:
    return Tensor("input", "float32", (1, 3, *pre.size))


def preprocessor(pre: Preprocessing, tensor: Tensor):
    """Of the one input ``tensor``, for frames of rgb."""
    prepare = Preprocessor(pre, [tensor])
    return lambda pixels, placement, **more: prepare({"rgb": pixels}, placement, **more)[tensor.name]


def noise(size: tuple[int, int], seed: int = 0, n: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (n, *size, 3), dtype=np.uint8)


@given(sizes, sizes, fits)
def test_the_content_is_what_the_contract_says(frame, network, fit):
    placement = FramePlacement.of(contract(network, fit), frame, network)
    if fit == "stretch":
        assert placement.content == network
    else:
        factor = min(Fraction(network[0], frame[0]), Fraction(network[1], frame[1]), Fraction(1))
        for content, side, most in zip(placement.content, frame, network, strict=True):
            assert 1 <= content <= most
            assert abs(content - side * factor) <= Fraction(1, 2) or content == 1
        if frame[0] <= network[0] and frame[1] <= network[1]:
            assert placement.content == frame  # never enlarged


def test_540_rows_become_544_without_resizing():
    placement = FramePlacement.of(contract((544, 960), "letterbox"), (540, 960), (544, 960))
    assert placement.content == (540, 960) and placement.padded and not placement.resized


def test_a_frame_of_the_networks_own_size_is_taken_as_it_is():
    """Frames of 400×600 at 0.6 are 240×360, in a network's input of 240×368; golden frames are 240×368 already."""
    pre = Preprocessing((240, 368), "letterbox", PAD, MEAN, STD, content=(240, 360))
    camera = FramePlacement.of(pre, (400, 600), (240, 368))
    assert camera.content == (240, 360) and camera.resized and camera.padded
    golden = FramePlacement.of(pre, (240, 368), (240, 368))
    assert golden.content == (240, 368) and not golden.resized and not golden.padded
    assert FramePlacement.of(pre, (240, 367), (240, 368)).resized


@settings(max_examples=40)
@given(sizes, sizes, fits, st.sampled_from([1, 2, 4]), st.integers(0, 5))
def test_class_maps_come_back_as_the_definition_says(frame, network, fit, stride, seed):
    """Each pixel of the frame: its centre, moved into the input, lies in one pixel of the map; exact, in fractions."""
    placement = FramePlacement.of(contract(network, fit), frame, network)
    low = tuple(math.ceil(side / stride) for side in network)
    array = np.random.default_rng(seed).integers(0, 256, low, dtype=np.uint8)
    back = placement.back_nearest(array, stride)
    assert back.shape == frame
    for y in {0, frame[0] // 2, frame[0] - 1}:
        for x in {0, frame[1] // 3, frame[1] - 1}:
            row = Fraction(2 * y + 1, 2) * placement.content[0] / frame[0] / stride
            column = Fraction(2 * x + 1, 2) * placement.content[1] / frame[1] / stride
            assert back[y, x] == array[math.floor(row), math.floor(column)]


def bilinear(array: np.ndarray, row: float, column: float) -> float:
    """By hand, between pixel centres, continued at the edges."""
    row, column = np.clip(row - 0.5, 0, array.shape[0] - 1), np.clip(column - 0.5, 0, array.shape[1] - 1)
    y, x = int(row), int(column)
    y1, x1 = min(y + 1, array.shape[0] - 1), min(x + 1, array.shape[1] - 1)
    top = array[y, x] + (column - x) * (array[y, x1] - array[y, x])
    bottom = array[y1, x] + (column - x) * (array[y1, x1] - array[y1, x])
    return float(top + (row - y) * (bottom - top))


@settings(max_examples=40)
@given(sizes, sizes, fits, st.sampled_from([1, 2, 4]), st.integers(0, 5))
def test_depth_comes_back_interpolated(frame, network, fit, stride, seed):
    """Where maps are enlarged. The padding holds a huge value: not a trace of it may come back."""
    placement = FramePlacement.of(contract(network, fit), frame, network)
    if any(side < content / stride for side, content in zip(frame, placement.content, strict=True)):
        return  # shrunk, which is antialiased; see below
    low = tuple(math.ceil(side / stride) for side in network)
    seen = tuple(math.ceil(side / stride) for side in placement.content)
    array = np.full(low, 1e9, np.float32)
    array[: seen[0], : seen[1]] = np.random.default_rng(seed).random(seen)
    back = placement.back_linear(array, stride)
    assert back.shape == frame and back.max() < 2
    for y in {0, frame[0] // 2, frame[0] - 1}:
        for x in {0, frame[1] // 3, frame[1] - 1}:
            row = (y + 0.5) * placement.content[0] / frame[0] / stride
            column = (x + 0.5) * placement.content[1] / frame[1] / stride
            assert back[y, x] == pytest.approx(bilinear(array[: seen[0], : seen[1]], row, column), abs=2e-5)


@given(sizes, sizes, fits, st.sampled_from([1, 2, 4]))
def test_a_constant_map_stays_constant(frame, network, fit, stride):
    placement = FramePlacement.of(contract(network, fit), frame, network)
    low = tuple(math.ceil(side / stride) for side in network)
    back = placement.back_linear(np.full(low, 7.25, np.float32), stride)
    assert back.shape == frame and np.allclose(back, 7.25, atol=1e-5)
    assert (placement.back_nearest(np.full(low, 9, np.uint8), stride) == 9).all()


def test_a_ramp_keeps_its_place():
    """A map of x coordinates, at a quarter of the input, shown to a frame twice as wide: still its x coordinates."""
    placement = FramePlacement.of(contract((32, 64), "letterbox"), (64, 128), (32, 64))
    ramp = np.tile((np.arange(16, dtype=np.float32) + 0.5) * 4 * 2 - 0.5, (8, 1))  # in pixels of the frame
    back = placement.back_linear(ramp, 4)
    inside = slice(4, -4)  # half a pixel of the map is continued at either side
    assert np.allclose(back[:, inside], np.arange(128)[inside], atol=1e-3)


@settings(max_examples=40)
@given(sizes, sizes, fits, st.booleans())
def test_frames_are_placed_as_the_definition_says(frame, network, fit, bgr):
    pre = contract(network, fit)
    placement = FramePlacement.of(pre, frame, network)
    pixels = noise(frame)
    given_to = pixels[..., ::-1] if bgr else pixels
    out = preprocessor(pre, uint8_input(pre))(given_to, placement, bgr=bgr)
    assert out.shape == (1, *network, 3) and out.dtype == np.uint8 and out.flags.c_contiguous
    height, width = placement.content
    if placement.content == frame:
        assert (out[0, :height, :width] == pixels[0]).all()
    else:
        shrunk = Image.fromarray(pixels[0]).resize((width, height), Image.Resampling.BILINEAR)
        assert (out[0, :height, :width] == np.asarray(shrunk)).all()
    assert (out[0, height:] == PAD).all() and (out[0, :, width:] == PAD).all()


@settings(max_examples=15)
@given(sizes, sizes, fits)
def test_resizing_is_torchs_antialiased_bilinear(frame, network, fit):
    torch = pytest.importorskip("torch")
    pre = contract(network, fit)
    placement = FramePlacement.of(pre, frame, network)
    pixels = noise(frame, 3)
    out = preprocessor(pre, uint8_input(pre))(pixels, placement)[0, : placement.content[0], : placement.content[1]]
    expected = torch.nn.functional.interpolate(
        torch.from_numpy(pixels).permute(0, 3, 1, 2).float(),
        size=placement.content,
        mode="bilinear",
        align_corners=False,
        antialias=True,
    )[0]
    assert np.abs(out - expected.permute(1, 2, 0).numpy()).max() <= 1.01  # Pillow rounds after each of two passes


@settings(max_examples=25)
@given(sizes, sizes, fits, st.booleans())
def test_the_float_input_is_the_same_pixels_standardised(frame, network, fit, bgr):
    pre = contract(network, fit)
    placement = FramePlacement.of(pre, frame, network)
    pixels = noise(frame, 1)
    plain = preprocessor(pre, uint8_input(pre))(pixels, placement, bgr=bgr).astype(np.float64)
    out = preprocessor(pre, float_input(pre))(pixels, placement, bgr=bgr)
    assert out.shape == (1, 3, *network) and out.dtype == np.float32 and out.flags.c_contiguous
    assert np.allclose(out[0], ((plain[0] - MEAN) / STD).transpose(2, 0, 1), atol=1e-5)


def test_padding_standardises_to_zero():
    pre = contract((8, 8), "letterbox")
    out = preprocessor(pre, float_input(pre))(noise((4, 8)), FramePlacement.of(pre, (4, 8), (8, 8)))
    assert (out[:, :, 4:] == 0).all()


def test_a_frame_that_fits_is_not_copied():
    pre = contract((8, 12), "letterbox")
    frames = noise((8, 12))
    placement = FramePlacement.of(pre, (8, 12), (8, 12))
    assert preprocessor(pre, uint8_input(pre))(frames, placement) is frames
    turned = np.ascontiguousarray(frames[:, ::-1])[:, ::-1]  # the same pixels, not in one piece
    assert (preprocessor(pre, uint8_input(pre))(turned, placement) == frames).all()


def test_one_buffer_serves_frames_of_changing_sizes():
    """What an earlier, larger frame left in the buffer must not show beside a smaller one."""
    pre = contract((16, 24), "letterbox")
    prepare = preprocessor(pre, uint8_input(pre))
    buffers = set()
    for seed, size in enumerate([(10, 24), (4, 5), (40, 30), (16, 3), (4, 5), (10, 24)]):
        placement = FramePlacement.of(pre, size, (16, 24))
        out = prepare(noise(size, seed), placement)
        fresh = preprocessor(pre, uint8_input(pre))(noise(size, seed), placement)
        assert (out == fresh).all()
        buffers.add(out.ctypes.data)
    assert len(buffers) == 1

"""Tiles: where they lie, what counts of them, and what cannot be tiled. Real networks: tests/export/test_tiles.py."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import edgekit
from edgekit.bundle.bundle import open_bundle
from edgekit.cli.main import main
from edgekit.errors import EdgekitError
from edgekit.frames.images import write_png
from edgekit.runtime.predictor import Predictor
from edgekit.runtime.tiles import Blend, Tiling

sides = st.integers(1, 40).map(lambda n: 16 * n)


@given(
    frame=st.tuples(st.integers(1, 700), st.integers(1, 700)),
    tile=st.tuples(sides, sides),
    field=st.integers(1, 300),
    stride=st.sampled_from([1, 2, 4, 8, 16]),
)
def test_every_pixel_is_answered_by_a_tile_that_holds_what_it_depends_on(frame, tile, field, stride):
    field = max(field, stride)
    try:
        tiling = Tiling.of(frame, tile, field, stride, None)
    except EdgekitError:  # only where the field and the least step do not fit
        reach = -(-(field - stride) // 2)
        assert min(t for t, f in zip(tile, frame, strict=True) if f > t) < 2 * (reach + stride) + 32
        return
    answered = np.zeros([side // stride for side in tiling.canvas], bool)
    for top, left in tiling.corners:
        assert top % 16 == left % 16 == 0
        assert top + tile[0] <= tiling.canvas[0] and left + tile[1] <= tiling.canvas[1]
        weights = tiling.weights((top, left), stride)
        assert weights.min() >= 0 and weights.max() <= 1
        rows, columns = np.nonzero(weights)
        for cells, start, side, length in (
            (rows, top, tile[0], tiling.canvas[0]),
            (columns, left, tile[1], tiling.canvas[1]),
        ):
            reach = -(-(field - stride) // 2)
            first, last = start + cells.min() * stride - reach, start + (cells.max() + 1) * stride + reach
            assert first >= start or start == 0, "it would see the tile's side, where the frame has none"
            assert last <= start + side or start + side == length
        answered[top // stride : (top + tile[0]) // stride, left // stride : (left + tile[1]) // stride] |= weights > 0
    assert answered.all()
    assert all(c >= max(f, t) for c, f, t in zip(tiling.canvas, frame, tile, strict=True))


@given(overlap=st.integers(0, 60), frame=st.tuples(st.integers(1, 400), st.integers(1, 400)))
def test_neighbours_overlap_by_what_is_asked(overlap, frame):
    tiling = Tiling.of(frame, (80, 96), None, 4, overlap)
    for axis, side in ((0, 80), (1, 96)):
        starts = sorted({corner[axis] for corner in tiling.corners})
        assert all(a + side - b >= overlap for a, b in pairwise(starts))
        assert starts[-1] + side == tiling.canvas[axis]


def test_equal_answers_stay_what_they_are_and_weights_rise_over_the_overlap():
    tiling = Tiling.of((64, 200), (64, 96), None, 4, 32)
    blend = Blend(tiling, {"logits": 4})
    for corner in tiling.corners:
        blend.add(corner, {"logits": np.full((2, 16, 24), 3.0)})
    assert blend.means()["logits"].shape == (2, 16, tiling.canvas[1] // 4) and np.allclose(blend.means()["logits"], 3)
    first = tiling.weights(tiling.corners[0], 4)[0]
    assert (first[:16] == 1).all() and (np.diff(first[16:]) < 0).all() and 0 < first[-1] < 0.1


def known(bundle, **changes) -> Predictor:
    """The tiny bundle in its fp32 file of logits, with a known receptive field: its cells of 4×4."""
    opened = open_bundle(bundle)
    predictor = edgekit.load(opened, precision="fp32", lane="cache")
    student = replace(opened.manifest.student, receptive_field=4)
    return Predictor(replace(opened.manifest, student=student, **changes), predictor.backend)


@pytest.mark.parametrize("size", [(64, 96), (40, 50), (64, 97), (150, 230), (65, 300)])
def test_a_network_that_sees_its_cells_alone_is_followed_by_hand(tiny, tiny_bundle, size):
    frame = np.random.default_rng(3).integers(0, 256, (*size, 3), dtype=np.uint8)
    with known(tiny_bundle) as predictor:
        found = predictor.infer(frame, tile=True)
        mirrored = predictor.infer(np.stack([frame, frame])[..., ::-1], "bgr", tile=True)
        few = predictor.infer(frame, tile=20)
    padded = np.tile(np.array((120, 125, 130), np.uint8), (-(-size[0] // 4) * 4, -(-size[1] // 4) * 4, 1))
    padded[: size[0], : size[1]] = frame
    x = (padded - np.array(tiny.MEAN)) / tiny.STD
    cells = x.reshape(padded.shape[0] // 4, 4, padded.shape[1] // 4, 4, 3).mean((1, 3))
    classes = cells.argmax(-1).repeat(4, 0).repeat(4, 1)[: size[0], : size[1]]
    assert (found["semantic"] == classes).all() and (few["semantic"] == classes).all()
    assert found["depth"].shape == size and np.isfinite(found["depth"]).all()
    assert np.allclose(np.linalg.norm(found["normals"], axis=-1), 1, atol=1e-5)
    for name, maps in mirrored.items():
        assert (maps[0] == found[name]).all() and (maps[1] == found[name]).all()


def test_depth_is_of_the_frames_own_pixels(tiny_bundle):
    """Usually a frame of 128×192 is halved, and depth times 0.5 accounts for that; in tiles nothing is."""
    frame = np.full((128, 192, 3), 100, np.uint8)
    with known(tiny_bundle) as predictor:
        halved = replace(predictor.manifest.preprocessing, depth_scale=0.5)
        scaled = Predictor(replace(predictor.manifest, preprocessing=halved), predictor.backend)
        usual, tiled = scaled.infer(frame)["depth"], scaled.infer(frame, tile=True)["depth"]
        assert np.allclose(tiled, 2 * usual, rtol=1e-4)
        wide = np.full((64, 96, 3), 100, np.uint8)
        assert np.allclose(scaled.infer(wide, tile=True)["depth"], scaled.infer(wide)["depth"], rtol=1e-4)


def test_decisions_alone_cannot_be_blended(tiny_bundle):
    with edgekit.load(tiny_bundle, outputs=["semantic"]) as predictor:
        with pytest.raises(EdgekitError, match="the decision alone") as caught:
            predictor.infer(np.zeros((100, 200, 3), np.uint8), tile=32)
        assert "export.outputs.semantic=[classes,logits]" in caught.value.fix
    with edgekit.load(tiny_bundle, outputs=["depth"]) as predictor:
        assert predictor.infer(np.zeros((100, 200, 3), np.uint8), tile=32)["depth"].shape == (100, 200)


@pytest.mark.parametrize(
    ("field", "tile", "said", "fix"),
    [
        (None, True, "how far the network sees is not known", "--overlap"),
        (90, True, "tiles of 64x96 pixels are too small for the network's receptive field, 90", "at least 112 each"),
        (None, 64, "tiles of 64x96 pixels cannot overlap by 64", "at least 80 each"),
        (None, -40, "not by -40", "64"),
        (None, 16.5, "not by 16.5", "64"),
        (None, "16", "not by '16'", "64"),
    ],
)
def test_tiles_that_are_too_small_are_told(tiny_bundle, field, tile, said, fix):
    with known(tiny_bundle) as predictor:
        student = replace(predictor.manifest.student, receptive_field=field)
        predictor = Predictor(replace(predictor.manifest, student=student), predictor.backend)
        with pytest.raises(EdgekitError, match=said) as caught:
            predictor.infer(np.zeros((200, 50, 3), np.uint8), tile=tile)
        assert fix in caught.value.fix


def test_the_command(tiny_bundle, tmp_path, capsys):
    write_png(tmp_path / "a.png", np.random.default_rng(0).integers(0, 256, (150, 200, 3), dtype=np.uint8))
    run = ["run", str(tiny_bundle), "--input", str(tmp_path / "a.png"), "--lane", "cache", "--precision", "fp32"]
    out = tmp_path / "over.png"
    assert main([*run, "--tile", "--overlap", "16", "--output", str(out), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["frames"] == 1 and out.is_file()
    assert main([*run, "--tile"]) == 2 and "how far the network sees" in capsys.readouterr().err
    assert main([*run, "--overlap", "16"]) == 2 and "--tile" in capsys.readouterr().err

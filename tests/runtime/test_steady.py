"""Averages over a film: still pictures against the formula, moving ones against where things went."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

import edgekit
from edgekit.bundle.bundle import open_bundle
from edgekit.cli.main import main
from edgekit.errors import EdgekitError
from edgekit.frames.images import write_png
from edgekit.runtime.predictor import Predictor
from edgekit.runtime.steady import MovingAverage

pytest.importorskip("cv2")


def textured(height: int, width: int) -> np.ndarray:
    """Smooth noise, in which motion can be seen."""
    import cv2

    rng = np.random.default_rng(0)
    return cv2.GaussianBlur(rng.integers(0, 256, (height, width)).astype(np.float32), (0, 0), 3.0)


def shown(picture: np.ndarray) -> np.ndarray:
    low, high = picture.min(), picture.max()
    return (255 * (picture - low) / (high - low)).astype(np.uint8)


def test_a_still_picture_is_averaged_exponentially():
    picture, average = shown(textured(64, 96)), MovingAverage(0.6)
    rng = np.random.default_rng(1)
    expected = None
    for _ in range(4):
        now = rng.random((3, 32, 48), dtype=np.float32)
        expected = now if expected is None else 0.4 * now + 0.6 * expected
        found = average.update(picture, {"p": now})["p"]
        assert np.abs(found - expected)[:, 2:-2, 2:-2].max() < 0.02


@pytest.mark.parametrize(("across", "down"), [(6, 0), (-4, 2), (0, -6)])
def test_maps_move_with_the_picture(across, down):
    """A map that moves as the picture does stays what it is; one that is averaged where it stood does not."""
    wide, step = textured(120, 160), 4
    edges = (textured(120, 160) > np.median(textured(120, 160))).astype(np.float32)
    average = MovingAverage(0.7)
    for i in range(5):
        top, left = 30 - down * i, 40 - across * i
        picture = shown(wide)[top : top + 64, left : left + 80]
        label = edges[top : top + 64, left : left + 80].reshape(32, 2, 40, 2).mean((1, 3))
        found = average.update(picture, {"p": np.stack([label, 1 - label])})["p"][0]
    inside = np.s_[step:-step, step:-step]
    still = np.abs(label - edges[30:94, 40:120].reshape(32, 2, 40, 2).mean((1, 3)))[inside].mean()
    assert np.abs(found - label)[inside].mean() < 0.15 * still


def test_what_was_outside_or_looks_different_has_no_history():
    picture, average = shown(textured(64, 96)), MovingAverage(0.7)
    before, now = np.zeros((1, 32, 48), np.float32), np.ones((1, 32, 48), np.float32)
    average.update(picture, {"p": before})
    assert (average.update(255 - picture, {"p": now})["p"] > 0.9).mean() > 0.6  # another picture
    average.reset()
    assert average.update(picture, {"p": now})["p"] is now  # the first of a film
    assert average.update(picture[:32], {"p": before[:, :16]})["p"].max() == 0  # another size begins anew
    wide = shown(textured(64, 160))
    average.reset()
    average.update(wide[:, :96], {"p": before})
    found = average.update(wide[:, 12:108], {"p": now})["p"][0]  # the camera goes to the right by 12
    assert found[4:-4, -4:].min() > 0.95 and found[4:-4, 10:30].mean() < 0.5


@pytest.mark.parametrize("history", [-0.1, 1.0])
def test_a_history_that_is_none(history):
    with pytest.raises(ValueError, match="from 0 up to"):
        MovingAverage(history)


@pytest.fixture
def film() -> list[np.ndarray]:
    """A still scene of cells of 4×4 pixels, under noise that changes."""
    rng = np.random.default_rng(2)
    scene = rng.integers(40, 210, (24, 36, 3)).repeat(4, 0).repeat(4, 1)
    return [np.clip(scene + rng.normal(0, 25, scene.shape), 0, 255).astype(np.uint8) for _ in range(8)]


@pytest.mark.parametrize("how", [{}, {"tile": 16}])
def test_a_film_flickers_less_and_its_first_frame_is_as_ever(tiny_bundle, film, how):
    with edgekit.load(tiny_bundle, precision="fp32", lane="cache") as predictor:
        stream = predictor.stream(**how)
        single = [predictor.infer(frame, **how) for frame in film]
        found = [stream.infer(frame) for frame in film]
        bgr = predictor.stream(**how)
        assert (bgr.infer(film[0][..., ::-1], "bgr")["semantic"] == single[0]["semantic"]).all()
        assert list(found[0]) == list(single[0])
        for name, first in found[0].items():
            assert np.allclose(first, single[0][name], atol=1e-5), name
            assert found[-1][name].dtype == single[-1][name].dtype
        assert (found[-1]["depth"] == single[-1]["depth"]).all()  # no probabilities: the frame's own

        def flicker(maps) -> float:
            return np.mean([(a["semantic"] != b["semantic"]).mean() for a, b in pairwise(maps[2:])])

        assert flicker(found) < 0.75 * flicker(single)
        turned = film[0].transpose(1, 0, 2)[::-1]  # of another size, on the same network
        alone, after = predictor.infer(turned, **how), stream.infer(turned)
        assert all(np.allclose(after[name], alone[name], atol=1e-5) for name in alone)
        stream.reset()
        assert (stream.infer(film[-1])["semantic"] == single[-1]["semantic"]).all()


def test_probabilities_are_averaged_where_the_graph_gives_logits(tiny_bundle, film):
    with edgekit.load(tiny_bundle, precision="fp32", lane="cache", outputs=["semantic_confidence"]) as predictor:
        stream = predictor.stream(history=0.5)
        stream.infer(film[0])
        twice = stream.infer(film[0])["semantic_confidence"]
        assert np.abs(twice.astype(int) - predictor.infer(film[0])["semantic_confidence"]).max() <= 1


def test_decisions_alone_cannot_be_averaged(tiny_bundle):
    with edgekit.load(tiny_bundle, outputs=["semantic"]) as predictor, pytest.raises(EdgekitError) as caught:
        predictor.stream()
    assert "the decision alone" in caught.value.what and "[classes,logits]" in caught.value.fix


def test_a_decision_is_enlarged_as_the_graph_does(tiny_bundle, film):
    """The cache lane decides nothing itself, so what a bundle says of its graphs' decisions does not change it."""
    opened = open_bundle(tiny_bundle)
    with edgekit.load(opened, precision="fp32", lane="cache") as predictor:
        bilinear = Predictor(replace(opened.manifest, upsampling="bilinear"), predictor.backend)
        found, usual = bilinear.stream().infer(film[0]), predictor.infer(film[0])
        assert (found["semantic"] == usual["semantic"]).all()


def test_the_command(tiny_bundle, film, tmp_path, capsys):
    for i, frame in enumerate(film[:3]):
        write_png(tmp_path / "film" / f"{i}.png", frame)
    run = ["run", str(tiny_bundle), "--input", str(tmp_path / "film"), "--steady", "--json"]
    assert main([*run, "--lane", "cache", "--precision", "fp32"]) == 0
    assert json.loads(capsys.readouterr().out)["frames"] == 3
    assert main(run) == 2 and "the decision alone" in capsys.readouterr().out
    assert os.listdir(tmp_path) == ["film"]

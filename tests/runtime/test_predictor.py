"""The Predictor: every frame size, colour order, lane and batch, against what the tiny network computes by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import edgekit
from edgekit.bundle.bundle import open_bundle
from edgekit.bundle.manifest import Profile
from edgekit.errors import EdgekitError
from edgekit.runtime.backend import Backend
from edgekit.runtime.cpu import usable_cores
from edgekit.runtime.predictor import Predictor

NAMES = ["semantic", "semantic_confidence", "depth", "normals"]


@pytest.fixture
def cells() -> np.ndarray:
    """A frame of the network's size, of cells of one colour each."""
    return np.random.default_rng(1).integers(0, 256, (16, 24, 3), dtype=np.uint8).repeat(4, 0).repeat(4, 1)


def by_hand(tiny, frame: np.ndarray) -> dict[str, np.ndarray]:
    """What the network's description says of a frame whose every pixel has its cell's mean colour."""
    x = (frame - np.array(tiny.MEAN)) / tiny.STD
    p = np.exp(x) / np.exp(x).sum(-1, keepdims=True)
    return {
        "semantic": x.argmax(-1),
        "semantic_confidence": 255 * p.max(-1),
        "depth": 100 ** (frame.mean(-1) / 255),
        "normals": x / np.linalg.norm(x, axis=-1, keepdims=True),
    }


@pytest.mark.parametrize("lane", ["onnxruntime", "cache"])
def test_a_frame_of_the_networks_size(tiny, tiny_bundle, cells, lane):
    with edgekit.load(tiny_bundle, precision="fp32", lane=lane) as predictor:
        found = predictor.infer(cells)
    expected = by_hand(tiny, cells)
    assert list(found) == NAMES
    assert found["semantic"].dtype == found["semantic_confidence"].dtype == np.uint8
    assert (found["semantic"] == expected["semantic"]).all()
    assert np.abs(found["semantic_confidence"] - expected["semantic_confidence"]).max() < 0.51
    centre = np.s_[::4, ::4]  # maps of stride 4 are interpolated; at no pixel they are a cell's own value
    assert found["depth"].shape == (64, 96) and found["normals"].shape == (64, 96, 3)
    between = found["depth"].reshape(16, 4, 24, 4)[:, 1:3, :, 1:3].mean((1, 3))
    assert np.corrcoef(between.ravel(), expected["depth"][centre].ravel())[0, 1] > 0.9
    assert np.allclose(np.linalg.norm(found["normals"], axis=-1), 1, atol=1e-5)


def test_three_lines_of_python(tiny_bundle):
    predictor = edgekit.load(tiny_bundle)
    classes = predictor.infer(np.zeros((30, 50, 3), np.uint8))["semantic"]
    assert classes.shape == (30, 50)
    assert predictor.describe()["precision"] == "int8"


def test_what_is_no_frame_is_refused(tiny_bundle):
    with edgekit.load(tiny_bundle) as predictor:
        for wrong in (np.zeros((4, 4), np.uint8), np.zeros((4, 4, 4), np.uint8), np.zeros((4, 4, 3)), "frame", None):
            with pytest.raises(EdgekitError, match="uint8"):
                predictor.infer(wrong)


@pytest.mark.parametrize("precision", ["fp32", "int8"])
@pytest.mark.parametrize("size", [(64, 96), (60, 96), (33, 20), (135, 200), (7, 300), (1, 1)])
def test_any_size_comes_back_at_its_own(tiny_bundle, size, precision):
    frame = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    with edgekit.load(tiny_bundle, precision=precision) as predictor:
        found = predictor.infer(frame)
    assert {n: (a.shape, a.dtype.name) for n, a in found.items()} == {
        "semantic": (size, "uint8"),
        "semantic_confidence": (size, "uint8"),
        "depth": (size, "float32"),
        "normals": ((*size, 3), "float32"),
    }
    assert np.allclose(np.linalg.norm(found["normals"], axis=-1), 1, atol=1e-5)
    assert (found["depth"] >= 1).all() and (found["depth"] <= 100).all()


@pytest.mark.parametrize("fit", ["letterbox", "stretch"])
@pytest.mark.parametrize("lane", ["onnxruntime", "cache"])
def test_colours_stay_where_they_are_in_the_frame(tiny, tmp_path, fit, lane):
    """Three vertical bands, each far larger than a cell, of a frame that has to be resized: where is which?"""
    frame = np.zeros((200, 300, 3), np.uint8)
    for band in range(3):
        frame[:, 100 * band : 100 * (band + 1), band] = 255
    bundle = tiny.write_tiny_bundle(tmp_path / fit, fit=fit)
    with edgekit.load(bundle, precision="fp32", lane=lane) as predictor:
        rgb = predictor.infer(frame)["semantic"]
        bgr = predictor.infer(frame[..., ::-1], colour="bgr")["semantic"]
    assert (rgb == bgr).all()
    truth = np.repeat(np.arange(3), 100)[None].repeat(200, 0)
    wrong = np.argwhere(rgb != truth)
    assert len(wrong) / truth.size < 0.05
    assert all(min(abs(x - 99.5), abs(x - 199.5)) <= 300 / 96 * 4 for _, x in wrong)  # within a cell of the borders


def test_every_lane_says_the_same(tiny_bundle):
    frame = np.random.default_rng(5).integers(0, 256, (90, 130, 3), dtype=np.uint8)
    with (
        edgekit.load(tiny_bundle, precision="fp32") as uint8,
        edgekit.load(tiny_bundle, precision="fp32", lane="cache") as logits,
    ):
        a, b = uint8.infer(frame), logits.infer(frame)
    assert list(a) == list(b) == NAMES
    assert (a["semantic"] == b["semantic"]).mean() > 0.999
    assert np.abs(a["semantic_confidence"].astype(int) - b["semantic_confidence"]).max() <= 1
    assert np.allclose(a["depth"], b["depth"], rtol=1e-4) and np.allclose(a["normals"], b["normals"], atol=1e-4)


@pytest.mark.parametrize("batch", [1, 2])
def test_a_batch_is_its_frames_one_by_one(tiny, tmp_path, batch):
    frames = np.random.default_rng(6).integers(0, 256, (3, 40, 50, 3), dtype=np.uint8)
    with edgekit.load(tiny.write_tiny_bundle(tmp_path / "b", batch=batch)) as predictor:
        together = predictor.infer(frames)
        single = [predictor.infer(frame) for frame in frames]
    for name in NAMES:
        assert together[name].shape[0] == 3
        assert (together[name] == np.stack([s[name] for s in single])).all()


@pytest.mark.parametrize(("batch", "lane"), [(1, None), (2, None), (1, "cache")])
def test_many_frames_are_answered_in_order_as_one_by_one(tiny, tmp_path, batch, lane):
    rng = np.random.default_rng(8)
    frames = [rng.integers(0, 256, (*size, 3), dtype=np.uint8) for size in ((40, 50), (64, 96), (100, 30), (40, 50))]
    with edgekit.load(tiny.write_tiny_bundle(tmp_path / "b", batch=batch), lane=lane) as predictor:
        single = [predictor.infer(frame, "bgr") for frame in frames]
        many = list(predictor.infer_many(iter(frames), "bgr"))
        assert list(predictor.infer_many([])) == []
        with pytest.raises(EdgekitError, match="a frame is"):
            list(predictor.infer_many([frames[0], frames[0][..., 0]]))
    assert len(many) == len(frames)
    for one, other in zip(single, many, strict=True):
        assert one.keys() == other.keys()
        assert all(np.array_equal(one[name], other[name]) for name in one)


class Counting(Backend):
    """A network of open batch size that says of each frame how bright it is; its buffer is used again and again."""

    name, lanes = "counting", ("onnxruntime",)

    def __init__(self, bundle, artifact, options):
        self.artifact, self.batches = artifact, []
        self._buffer = np.zeros((16, 64, 96), np.uint8)

    def run(self, feed, wanted):
        frames = feed["frames"]
        self.batches.append(len(frames))
        self._buffer[: len(frames)] = frames[:, :1, :1, 0]
        return {name: self._buffer[: len(frames)] for name in wanted}

    def describe(self):
        return {}

    def close(self): ...


@pytest.mark.parametrize(("most", "batches"), [(4, [4, 4, 3]), (None, [11])])
def test_an_open_batch_size_is_filled_up_to_its_profile(tiny_bundle, most, batches):
    bundle = open_bundle(tiny_bundle)
    fixed = bundle.artifact("onnxruntime", "fp32")
    shapes = [(n, 64, 96, 3) for n in (1, 1, most)]
    artifact = replace(
        fixed,
        input=replace(fixed.input, shape=("batch", 64, 96, 3)),
        outputs=fixed.outputs[:1],
        profile=Profile(*shapes) if most else None,
    )
    backend = Counting(bundle, artifact, None)
    frames = np.arange(11, dtype=np.uint8)[:, None, None, None].repeat(64, 1).repeat(96, 2).repeat(3, 3)
    found = Predictor(bundle.manifest, backend, ["semantic"]).infer(frames)["semantic"]
    assert backend.batches == batches
    assert (found == np.arange(11)[:, None, None]).all()


def test_an_open_size_takes_the_usual_one(tiny_bundle):
    bundle = open_bundle(tiny_bundle)
    fixed = bundle.artifact("onnxruntime", "fp32")
    artifact = replace(fixed, input=replace(fixed.input, shape=(1, "height", "width", 3)))
    assert Predictor(bundle.manifest, Counting(bundle, artifact, None)).size == (64, 96)


def test_results_are_the_callers_own(tiny_bundle, cells):
    """What was returned does not change when the next frame is worked on."""
    with edgekit.load(tiny_bundle) as predictor:
        first = predictor.infer(cells)
        kept = {name: array.copy() for name, array in first.items()}
        predictor.infer(255 - cells)
    assert all((first[name] == kept[name]).all() for name in kept)
    assert all(array.flags.writeable and array.flags.c_contiguous for array in first.values())


def test_steps_are_what_infer_does(tiny_bundle):
    frame = np.random.default_rng(7).integers(0, 256, (50, 96, 3), dtype=np.uint8)
    with edgekit.load(tiny_bundle) as predictor:
        feed = predictor.prepare(frame[None])
        assert feed["frames"].shape == (1, 64, 96, 3)
        found = predictor.finish(predictor.graph(feed), (50, 96))
        whole = predictor.infer(frame)
    assert all((found[name][0] == whole[name]).all() for name in whole)


def test_only_what_is_asked_for(tiny_bundle, cells):
    with edgekit.load(tiny_bundle, outputs=["depth", "semantic"]) as predictor:
        assert list(predictor.infer(cells)) == ["depth", "semantic"]
        assert set(predictor.graph(predictor.prepare(cells[None]))) == {"depth_depth", "semantic_classes"}
    for wrong in (["sky"], []):
        with pytest.raises(EdgekitError) as error:
            edgekit.load(tiny_bundle, outputs=wrong)
        assert "semantic_confidence" in error.value.fix


def test_reduced_scale_becomes_metres(tiny, tmp_path, cells):
    """A student that sees half the pixels sees everything twice as far; the manifest's factor undoes it."""
    with edgekit.load(tiny.write_tiny_bundle(tmp_path / "one"), precision="fp32") as predictor:
        plain = predictor.infer(cells)
    with edgekit.load(tiny.write_tiny_bundle(tmp_path / "half", depth_scale=0.5), precision="fp32") as predictor:
        scaled = predictor.infer(cells)
    assert np.allclose(scaled["depth"], 0.5 * plain["depth"], rtol=1e-6)
    n = plain["normals"] * [1, 1, 2]  # z grows with the zoom
    assert np.allclose(scaled["normals"], n / np.linalg.norm(n, axis=-1, keepdims=True), atol=1e-5)
    assert (scaled["semantic"] == plain["semantic"]).all()


def test_vectors_without_a_direction_face_the_camera():
    """As the kind decodes them: opposite neighbours cancel out halfway."""
    from edgekit.bundle.manifest import OutputTensor
    from edgekit.runtime.placement import FramePlacement
    from edgekit.runtime.postprocess import Result, finish
    from edgekit.tasks import Task, kind_of

    task = Task("normals", "normals")
    raw = np.random.default_rng(0).normal(size=(3, 4, 6)).astype(np.float32)
    raw[:, 1, 2] = 0
    result = Result("normals", task, "normals", OutputTensor("n", "float32", (1, 3, 4, 6), "normals", "normals", 1))
    found = finish(result, raw, FramePlacement((4, 6), (4, 6), (4, 6)))
    assert found[1, 2].tolist() == [0, 0, -1]
    assert np.allclose(found, kind_of(task).decode(task, raw), atol=1e-6)


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_threads_that_share_a_predictor_get_their_own_answers(tiny_bundle, precision):
    """Of frames of one size, of several sizes, and of batches: each the answer that it gets alone."""
    from concurrent.futures import ThreadPoolExecutor

    rng = np.random.default_rng(0)
    sizes = [(64, 96), (64, 96), (64, 96), (64, 96), (50, 70), (120, 200), (50, 70)]
    frames = [rng.integers(0, 256, (*size, 3), dtype=np.uint8) for size in sizes]
    frames += [rng.integers(0, 256, (2, 64, 96, 3), dtype=np.uint8), np.full((64, 96, 3), 9, np.uint8)]
    with edgekit.load(tiny_bundle, precision=precision) as predictor:
        expected = [predictor.infer(frame) for frame in frames]
        with ThreadPoolExecutor(4) as pool:
            order = [i for _ in range(8) for i in rng.permutation(len(frames))]
            for i, found in zip(order, pool.map(lambda i: predictor.infer(frames[i]), order), strict=True):
                for name, array in expected[i].items():
                    np.testing.assert_array_equal(found[name], array)


def test_a_stream_of_answers_keeps_the_predictor_to_itself(tiny_bundle):
    """Another thread's frame would be prepared in the buffer that the stream uses: it is refused, not mixed in."""
    from concurrent.futures import ThreadPoolExecutor

    frames = [np.full((64, 96, 3), 20 * i, np.uint8) for i in range(5)]
    with edgekit.load(tiny_bundle) as predictor, ThreadPoolExecutor(1) as other:
        expected = [predictor.infer(frame) for frame in frames]
        stream = predictor.infer_many(frames)
        next(stream)
        for attempt in (lambda: predictor.infer(frames[0]), lambda: next(predictor.infer_many(frames))):
            with pytest.raises(ValueError, match="not been read to its end"):
                other.submit(attempt).result()
            with pytest.raises(ValueError, match="not been read to its end"):
                attempt()
        for found, alone in zip(stream, expected[1:], strict=True):
            assert all((found[name] == alone[name]).all() for name in alone)
        predictor.infer(frames[0])
        stream = predictor.infer_many(frames)
        next(stream)
        stream.close()
        assert all(
            (other.submit(predictor.infer, frames[3]).result()[name] == expected[3][name]).all() for name in alone
        )


def test_what_runs_is_said(tiny_bundle):
    with edgekit.load(tiny_bundle, threads=1) as predictor:
        said = predictor.describe()
    assert said["precision"] == "int8" and said["lane"] == "onnxruntime" and said["threads"] == 1
    assert said["size"] == [64, 96] and said["bundle"] == "tiny" and "onnxruntime" in said["runtime"]


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"backend": "tpu"}, "unknown backend 'tpu'"),
        ({"lane": "warp"}, "does not read the lane 'warp'"),
        ({"lane": "strong"}, "no fp32 artifact in the strong lane"),
        ({"precision": "fp16"}, "no fp16 artifact"),
        ({"threads": 1000}, r"1000 threads, where this process may use \d+ core"),
        ({"threads": usable_cores() + 1}, "threads, where this process may use"),
        ({"threads": -1}, "-1 threads"),
        ({"threads": 0}, "0 threads"),
    ],
)
def test_what_there_is_not(tiny_bundle, options, reason):
    with pytest.raises(EdgekitError, match=reason):
        edgekit.load(tiny_bundle, **options)


def test_importing_edgekit_does_not_import_numpy():
    import subprocess
    import sys

    code = "import sys, edgekit; assert 'numpy' not in sys.modules; edgekit.load; assert 'numpy' in sys.modules"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
    with pytest.raises(AttributeError, match="unload"):
        edgekit.unload  # noqa: B018

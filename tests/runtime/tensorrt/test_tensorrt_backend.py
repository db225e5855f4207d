"""Running engines over the fake: against onnxruntime on the same file, and that nothing is left or mixed up."""

from __future__ import annotations

import importlib
import subprocess
import sys
import threading

import numpy as np
import pytest

import edgekit
from edgekit.bench.timed import Timed
from edgekit.bundle.bundle import open_bundle
from edgekit.errors import EdgekitError
from edgekit.runtime.backend import Options
from edgekit.runtime.load import load, open_backend


@pytest.fixture
def engine(jetson_bundle, built_here):
    """The path of an fp16 engine; everything on the fake GPU must be free at the end of the test."""
    (built,) = built_here(jetson_bundle, precision="fp16")
    yield built.path
    live = importlib.import_module("pycuda.driver").live()
    assert set(live.values()) == {0}, f"left unfreed: {live}"


@pytest.fixture
def backend(jetson_bundle, engine):
    with open_backend(open_bundle(jetson_bundle), "tensorrt") as opened:
        yield opened


def feeds(count: int, seed: int = 0) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [rng.integers(0, 256, (1, 64, 96, 3), dtype=np.uint8) for _ in range(count)]


def expected(folder, feed: np.ndarray) -> dict[str, np.ndarray]:
    import onnxruntime

    session = onnxruntime.InferenceSession(folder / "weak.onnx", providers=["CPUExecutionProvider"])
    names = [o.name for o in session.get_outputs()]
    return dict(zip(names, session.run(names, {"frames": feed}), strict=True))


def names(backend) -> list[str]:
    return [o.name for o in backend.artifact.outputs]


def same(one: dict, other: dict) -> bool:
    return one.keys() == other.keys() and all(np.array_equal(one[k], other[k]) for k in one)


def copied(answers) -> list[dict]:
    return [{k: v.copy() for k, v in a.items()} for a in answers]


def test_the_predictor_answers_as_on_the_cpu(jetson_bundle, engine):
    frame = np.random.default_rng(1).integers(0, 256, (120, 200, 3), dtype=np.uint8)
    with edgekit.load(jetson_bundle, backend="tensorrt") as gpu, load(jetson_bundle, precision="fp32") as cpu:
        here, there = gpu.infer(frame), cpu.infer(frame)
    assert here.keys() == there.keys()
    for name in here:
        assert np.allclose(here[name], there[name], atol=1e-5), name


def test_run_copies_only_what_is_wanted(jetson_bundle, backend):
    (feed,) = feeds(1)
    answer = backend.run(feed, ["depth_depth"])
    assert same(answer, {"depth_depth": expected(jetson_bundle, feed)["depth_depth"]})
    assert same(backend.run(feed, names(backend)), expected(jetson_bundle, feed))


def test_two_in_flight_answer_in_order(jetson_bundle, backend):
    frames = feeds(7)
    answers = copied(backend.run_many(iter(frames), names(backend)))
    assert len(answers) == 7
    for frame, answer in zip(frames, answers, strict=True):
        assert same(answer, expected(jetson_bundle, frame))


@pytest.mark.parametrize("lane", ["weak", "cache"])
def test_the_predictor_keeps_two_frames_in_flight(jetson_bundle, built_here, lane, monkeypatch):
    (built,) = built_here(jetson_bundle, precision="fp16", lane=lane)
    rng = np.random.default_rng(2)
    frames = [rng.integers(0, 256, (*size, 3), dtype=np.uint8) for size in ((64, 96), (120, 200), (30, 40)) * 2]
    asked = []

    def counted():
        for i, frame in enumerate(frames):
            asked.append(i)
            yield frame

    with edgekit.load(jetson_bundle, backend="tensorrt", engine=built.path) as predictor:
        single = [predictor.infer(frame) for frame in frames]
        stream = predictor.infer_many(counted())
        first = {name: array.copy() for name, array in next(stream).items()}
        assert asked == [0, 1, 2]  # the first is answered while the second computes and the third is at hand
        many = [first, *copied(stream)]
        assert all(same(one, other) for one, other in zip(single, many, strict=True))
        stream = predictor.infer_many(iter(frames))
        next(stream)
        stream.close()
        assert same(predictor.infer(frames[0]), single[0])


def test_run_many_left_unread_does_not_block(jetson_bundle, backend):
    stream = backend.run_many(iter(feeds(5)), names(backend))
    next(stream)
    with pytest.raises(ValueError, match="not been read to its end"):
        backend.run(feeds(1)[0], names(backend))
    stream.close()
    (feed,) = feeds(1, seed=3)
    assert same(backend.run(feed, names(backend)), expected(jetson_bundle, feed))


def test_threads_do_not_mix_queries(jetson_bundle, backend):
    frames, wrong = feeds(4), []
    right = [expected(jetson_bundle, f)["depth_depth"].mean() for f in frames]

    def work(i: int) -> None:
        for _ in range(5):
            answer = backend.run(frames[i], ["depth_depth"])["depth_depth"]
            # another thread may use the buffers again by now, but never leaves half of one answer and half of another
            if answer.shape != (1, 16, 24) or not np.any(np.isclose(answer.mean(), right)):
                wrong.append(i)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_times_of_one_query(backend):
    with pytest.raises(ValueError, match="nothing has been run yet"):
        backend.time_once()
    backend.run(feeds(1)[0], names(backend))
    times = backend.time_once()
    assert set(times) == {"h2d", "compute", "d2h", "enqueue", "host"}
    assert all(t >= 0 for t in times.values())
    assert times["host"] >= times["h2d"] + times["compute"] + times["d2h"] - 1e-6
    assert backend.time_many(5) > 0


def test_the_benchmarks_protocols_are_offered(backend):
    assert isinstance(backend, Timed)


def test_layer_times(jetson_bundle, backend):
    backend.run(feeds(1)[0], names(backend))
    layers = dict(backend.profile(3))
    assert layers["Cast_0"] == pytest.approx(0.25) and len(layers) > 10
    (feed,) = feeds(1, seed=5)
    assert same(backend.run(feed, names(backend)), expected(jetson_bundle, feed))


def test_cuda_graphs_answer_the_same(jetson_bundle, backend, monkeypatch):
    library = importlib.import_module("libcuda").FakeLibcuda()
    monkeypatch.setattr("edgekit.runtime.cuda.driver_graph.driver_library", lambda: library)
    frames = feeds(4)
    backend.run(frames[0], names(backend))
    backend.use_graph()
    assert len(library.graphs) == 4  # a graph and its executable for each of two slots
    for frame in frames:
        assert same(backend.run(frame, names(backend)), expected(jetson_bundle, frame))
    answers = copied(backend.run_many(iter(frames), names(backend)))
    assert all(same(a, expected(jetson_bundle, f)) for a, f in zip(answers, frames, strict=True))
    assert backend.time_once()["compute"] >= 0
    backend.close()
    assert library.graphs == {}


def test_layers_are_timed_beside_a_cuda_graph(jetson_bundle, backend, monkeypatch):
    library = importlib.import_module("libcuda").FakeLibcuda()
    monkeypatch.setattr("edgekit.runtime.cuda.driver_graph.driver_library", lambda: library)
    (feed,) = feeds(1)
    backend.run(feed, names(backend))
    backend.use_graph()
    assert len(backend.profile(2)) > 10
    assert len(library.graphs) == 4  # captured again, for the context that it is now
    assert same(backend.run(feed, names(backend)), expected(jetson_bundle, feed))


@pytest.mark.parametrize("version", ["8.6.1", "10.3.0"])
def test_layers_of_an_open_batch(tiny, jetson, tiny_bundle, tensorrt, built_here, tmp_path, version):
    """Up to TensorRT 8 a second context has no profile: layers are timed with one at a time."""
    tensorrt(version)
    folder = jetson.write_jetson_bundle(tiny, tiny_bundle, tmp_path / "open", dynamic=True)
    built_here(folder, precision="fp16", lane="weak")
    with open_backend(open_bundle(folder), "tensorrt") as backend:
        feed = np.concatenate(feeds(3))
        right = backend.run(feed, ["depth_depth"])["depth_depth"].copy()
        assert dict(backend.profile(2))["Cast_0"] == pytest.approx(0.25)
        assert np.array_equal(backend.run(feed, ["depth_depth"])["depth_depth"], right)


def test_up_to_8_two_contexts_of_an_open_engine_share_no_profile(
    tiny, jetson, tiny_bundle, tensorrt, built_here, tmp_path
):
    """The rule that the fake holds the code to."""
    tensorrt("8.6.1")
    folder = jetson.write_jetson_bundle(tiny, tiny_bundle, tmp_path / "open", dynamic=True)
    built_here(folder, precision="fp16", lane="weak")
    with open_backend(open_bundle(folder), "tensorrt") as backend:
        second = backend._plan.engine.create_execution_context()
        assert not second.set_input_shape("frames", (1, 64, 96, 3))
        assert backend._plan.context.set_input_shape("frames", (1, 64, 96, 3))


def test_a_batch_of_any_size_in_the_profile(tiny, jetson, tiny_bundle, built_here, tmp_path):
    folder = jetson.write_jetson_bundle(tiny, tiny_bundle, tmp_path / "open", dynamic=True)
    built_here(folder, precision="fp16", lane="weak")
    with open_backend(open_bundle(folder), "tensorrt") as backend:
        for count in (3, 1, 4, 2, 3):
            feed = np.concatenate(feeds(count, seed=count))
            answer = backend.run(feed, ["depth_depth", "semantic_classes"])
            right = [expected(folder, f[None]) for f in feed]
            for name in answer:
                assert np.array_equal(answer[name], np.concatenate([r[name] for r in right]))
        with pytest.raises(EdgekitError, match=r"the engine's input is \(1, 64, 96, 3\) to \(4, 64, 96, 3\) uint8"):
            backend.run(np.concatenate(feeds(5)), ["depth_depth"])
        assert backend.run(feeds(1)[0], ["depth_depth"])["depth_depth"].shape[0] == 1  # and it goes on


@pytest.mark.parametrize("feed", [np.zeros((1, 64, 96, 3), np.float32), np.zeros((1, 64, 100, 3), np.uint8)])
def test_a_wrong_input_says_what_is_right(backend, feed):
    with pytest.raises(EdgekitError, match=r"the engine's input is \(1, 64, 96, 3\) uint8"):
        backend.run(feed, names(backend))


def test_closed_is_closed(backend):
    backend.close()
    backend.close()
    with pytest.raises(ValueError, match="closed"):
        backend.run(feeds(1)[0], names(backend))


def test_describe(backend, engine):
    said = backend.describe()
    assert said["runtime"] == "TensorRT 10.3.0" and said["engine"] == str(engine)
    assert said["device"] == "fake GPU, computed by onnxruntime"
    assert (said["lane"], said["precision"], said["file"], said["threads"]) == ("weak", "fp16", "weak.onnx", None)


@pytest.mark.parametrize(
    ("failure", "said"),
    [
        ("runtime", "cannot start: CUDA initialization failure"),
        ("context", "cannot make an execution context"),
        ("enqueue", "did not"),
    ],
)
def test_a_failure_frees_everything(jetson_bundle, engine, monkeypatch, failure, said):
    monkeypatch.setenv("FAKE_TENSORRT_FAIL", failure)
    bundle = open_bundle(jetson_bundle)
    with pytest.raises(EdgekitError, match=said), open_backend(bundle, "tensorrt") as backend:
        backend.run(feeds(1)[0], names(backend))


def test_too_little_memory_for_the_buffers_frees_the_rest(jetson_bundle, engine, monkeypatch):
    monkeypatch.setenv("FAKE_GPU_MEMORY", str(40_000))
    with pytest.raises(EdgekitError, match="out of GPU memory"):
        open_backend(open_bundle(jetson_bundle), "tensorrt")


def test_use_in_a_forked_child_is_refused(jetson_bundle, engine):
    code = f"""
import os
import numpy as np
import edgekit
from edgekit.errors import EdgekitError
predictor = edgekit.load({str(jetson_bundle)!r}, backend="tensorrt")
frame = np.zeros((64, 96, 3), np.uint8)
predictor.infer(frame)
if os.fork() == 0:
    try:
        predictor.infer(frame)
    except EdgekitError as error:
        os.write(1, str(error).encode())
    predictor.close()
    os._exit(0)
os.wait()
predictor.infer(frame)
predictor.close()
"""
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "CUDA does not survive a fork" in done.stdout


def test_choosing_an_engine_by_its_file(jetson_bundle, built_here):
    (fp16,) = built_here(jetson_bundle, precision="fp16")
    (int8,) = built_here(jetson_bundle, precision="int8")
    bundle = open_bundle(jetson_bundle)
    with open_backend(bundle, "tensorrt", options=Options(engine=fp16.path)) as backend:
        assert backend.describe()["precision"] == "fp16"
    with open_backend(bundle, "tensorrt") as backend:
        assert backend.describe()["precision"] == "int8"  # the newest
    with pytest.raises(EdgekitError, match="the engine's precision is int8, asked for is fp16"):
        open_backend(bundle, "tensorrt", precision="fp16", options=Options(engine=int8.path))

"""Running over sources of frames: what is written, what is counted, what is dropped."""

from __future__ import annotations

import itertools
import threading
import time

import numpy as np
import pytest
from PIL import Image

import edgekit
from edgekit.errors import EdgekitError
from edgekit.frames.images import read_rgb, write_png
from edgekit.frames.live import Newest
from edgekit.frames.source import CapturedFrame, FrameSource, Photographs
from edgekit.frames.video import Video, VideoWriter
from edgekit.runtime.run import open_output, run


@pytest.fixture
def photographs(tmp_path):
    for i in range(3):
        write_png(
            tmp_path / "in" / f"p{i}.png", np.random.default_rng(i).integers(0, 256, (200, 250, 3), dtype=np.uint8)
        )
    return tmp_path / "in"


def test_overlays_of_photographs(tiny_bundle, photographs, tmp_path):
    seen = []
    with edgekit.load(tiny_bundle, outputs=["semantic", "depth"]) as predictor:
        source = Photographs(photographs)
        with open_output(tmp_path / "out", source) as output:
            report = run(
                predictor, source, predictor.tasks[:2], output, progress=lambda done, note: seen.append((done, note))
            )
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["p0.jpg", "p1.jpg", "p2.jpg"]
    assert read_rgb(tmp_path / "out" / "p0.jpg").shape == (200, 500, 3)  # two tasks side by side
    assert report["frames"] == 3 and report["dropped"] == 0 and report["latency_ms"] is None
    assert 0 < report["predict_ms"]["p50"] <= report["predict_ms"]["p95"] <= report["predict_ms"]["max"]
    assert [done for done, _ in seen] == [1, 2, 3] and "fps" in seen[-1][1] and "ms" in seen[0][1]


def test_a_limit(tiny_bundle, photographs):
    with edgekit.load(tiny_bundle) as predictor:
        assert run(predictor, Photographs(photographs), [], limit=2)["frames"] == 2


def test_an_output_in_the_way(photographs, tmp_path, tiny_bundle):
    (tmp_path / "file").write_text("")
    source = Photographs(photographs)
    with pytest.raises(EdgekitError, match="'file' is no folder"):
        open_output(tmp_path / "file", source)
    with edgekit.load(tiny_bundle) as predictor, pytest.raises(EdgekitError, match="cannot write"):
        run(predictor, source, predictor.tasks[:1], open_output(tmp_path / "file" / "x", source))


@pytest.mark.parametrize(
    "name", ["overlay.png", "overlay.jpg", "OVERLAY.JPEG", "overlay.webp", "overlay.bmp", "o.tiff"]
)
def test_an_overlay_of_one_photograph_is_the_picture_that_it_is_named(tiny_bundle, photographs, tmp_path, name):
    source = Photographs(photographs / "p0.png")
    with edgekit.load(tiny_bundle) as predictor, open_output(tmp_path / "out" / name, source) as output:
        run(predictor, source, predictor.tasks[:1], output)
    assert [p.name for p in (tmp_path / "out").iterdir()] == [name]
    kind = {"jpg": "JPEG", "jpeg": "JPEG"}.get(name.lower().rpartition(".")[2], name.rpartition(".")[2].upper())
    with Image.open(tmp_path / "out" / name) as image:
        assert image.format == kind and image.size == (250, 200)


@pytest.mark.parametrize(
    "name", ["o.png", "o.jpg", "o.gif", "o.GIF", "o.mpg", "o.wav", "o.txt", "o.zip", "o.html", "o.tgz"]
)
def test_several_overlays_never_become_a_folder_that_is_named_like_a_file(photographs, tmp_path, name):
    with pytest.raises(EdgekitError, match=r"is one picture|cannot be written as") as caught:
        open_output(tmp_path / name, Photographs(photographs))
    assert ".mp4" in caught.value.fix and "folder" in caught.value.fix and not (tmp_path / name).exists()


@pytest.mark.parametrize("name", ["out", "out.v2", "2024.05.01", "run-1.5"])
def test_a_folder_may_have_a_dot_in_its_name(tiny_bundle, photographs, tmp_path, name):
    (tmp_path / "there.png").mkdir()
    for folder in (tmp_path / name, tmp_path / "there.png"):
        source = Photographs(photographs)
        with edgekit.load(tiny_bundle) as predictor, open_output(folder, source) as output:
            run(predictor, source, predictor.tasks[:1], output)
        assert sorted(p.name for p in folder.iterdir()) == ["p0.jpg", "p1.jpg", "p2.jpg"]


class Film(FrameSource):
    """Frames of 64×48 at given times; ``seconds`` long."""

    live, files, folder, unreadable, count, rate, dropped = False, (), None, (), None, 10.0, 0

    def __init__(self, times: list[float], seconds: float | None):
        self.times, self.seconds = times, seconds

    def __iter__(self):
        for i, at in enumerate(self.times):
            yield CapturedFrame(np.full((48, 64, 3), i, np.uint8), "rgb", f"{i:06d}", time.perf_counter(), at)


@pytest.mark.parametrize(
    ("times", "seconds", "limit", "frames"),
    [
        ([0, 0.1, 0.2, 0.3], 0.4, None, 4),
        ([0, 0.1, 0.5, 0.6], 0.7, None, 7),  # what is lost is filled
        ([0, 0.4], 1.0, None, 10),  # the last is shown to the end
        ([0, 0.4, 0.8], 1.0, 2, 5),  # not where the run is limited
        ([0, 0.01, 0.02, 0.1], 0.2, None, 2),  # faster than the film's rate
        ([None, None, None], None, None, 3),
    ],
)
def test_an_overlay_film_is_as_long_as_its_source(tiny_bundle, tmp_path, times, seconds, limit, frames):
    pytest.importorskip("cv2")
    source = Film(times, seconds)
    with edgekit.load(tiny_bundle) as predictor, open_output(tmp_path / "overlay.avi", source) as output:
        run(predictor, source, predictor.tasks[:1], output, limit=limit)
    assert len(list(Video(tmp_path / "overlay.avi"))) == frames


def test_overlays_are_not_laid_among_the_photographs_that_are_read(photographs):
    """The next run would read them, and one of p0.jpg would overwrite it."""
    for place in (photographs, photographs / ".." / "in"):
        with pytest.raises(EdgekitError, match="among the photographs"):
            open_output(place, Photographs(photographs))
    open_output(photographs / "overlays", Photographs(photographs))


def test_a_single_photograph_is_not_overwritten(photographs, tiny_bundle):
    """An overlay has its frame's name: beside p0.png it is another file, beside p0.jpg the same one."""
    Image.fromarray(read_rgb(photographs / "p1.png")).save(photographs / "same.jpg")
    before = {path.name: path.read_bytes() for path in photographs.iterdir()}
    for place in (photographs, photographs / ".." / "in"):
        with pytest.raises(EdgekitError, match="overwrite the input"):
            open_output(place, Photographs(photographs / "same.jpg"))
    with edgekit.load(tiny_bundle) as predictor:
        source = Photographs(photographs / "p0.png")
        with open_output(photographs, source) as output:
            run(predictor, source, predictor.tasks[:1], output)
    after = {path.name: path.read_bytes() for path in photographs.iterdir()}
    assert set(after) - set(before) == {"p0.jpg"} and before.items() <= after.items()


def test_a_film_is_not_overwritten_and_may_lie_beside_its_overlays(tmp_path):
    pytest.importorskip("cv2")
    with VideoWriter(tmp_path / "film.avi", 10) as writer:
        writer.write(np.zeros((48, 64, 3), np.uint8))
    source = Video(tmp_path / "film.avi")
    with pytest.raises(EdgekitError, match="overwrite the input"):
        open_output(tmp_path / "film.avi", source)
    open_output(tmp_path / "overlay.avi", source)
    open_output(tmp_path, source)
    source.close()


def test_an_output_of_an_impossible_name(photographs, tmp_path):
    with pytest.raises(EdgekitError, match="cannot write: File name too long"):
        open_output(tmp_path / ("x" * 300), Photographs(photographs))


def test_photographs_that_cannot_be_read_are_passed_over_and_listed(tiny_bundle, photographs, tmp_path):
    (photographs / "p1.png").write_bytes(b"no picture")
    (photographs / "p2.png").write_bytes((photographs / "p2.png").read_bytes()[:500])
    source = Photographs(photographs)
    with edgekit.load(tiny_bundle) as predictor, open_output(tmp_path / "out", source) as output:
        report = run(predictor, source, predictor.tasks[:1], output)
    assert report["frames"] == 1 and [p.name for p in (tmp_path / "out").iterdir()] == ["p0.jpg"]
    assert [one["file"] for one in report["unreadable"]] == [str(photographs / f"p{i}.png") for i in (1, 2)]
    assert all("cannot be read" in one["why"] for one in report["unreadable"])
    (photographs / "p0.png").write_bytes(b"")
    with edgekit.load(tiny_bundle) as predictor, pytest.raises(EdgekitError, match="none of the folder's 3"):
        run(predictor, Photographs(photographs), [])


class SlowPredictor:
    """Notes which frames it is given, and lets the camera run on meanwhile."""

    def __init__(self, camera):
        self.camera, self.seen = camera, []

    def infer(self, image: np.ndarray, colour: str) -> dict[str, np.ndarray]:
        self.seen.append((int(image[0, 0, 0]), time.perf_counter()))
        target = self.camera.given + 10
        while self.camera.given < target and not self.camera.ended:
            time.sleep(0.001)
        return {}


class FastCamera(FrameSource):
    """100 frames, one each millisecond or slower."""

    live, files, unreadable, count, rate, seconds = True, (), (), None, None, None

    def __init__(self):
        self.given, self.ended = 0, False
        self._newest = Newest(self._read)

    def _read(self) -> np.ndarray | None:
        time.sleep(0.001)
        if self.given == 100:
            self.ended = True
            return None
        self.given += 1
        return np.full((2, 2, 3), self.given, np.uint8)

    @property
    def dropped(self) -> int:
        return self._newest.dropped

    def __iter__(self):
        return iter(self._newest)

    def close(self) -> None:
        self._newest.close()


def test_live_frames_never_lag():
    """The predictor takes as long as ten frames: it is given about every tenth, never one that was superseded."""
    camera = FastCamera()
    predictor = SlowPredictor(camera)
    report = run(predictor, camera, [])
    camera.close()
    numbers = [n for n, _ in predictor.seen]
    assert all(b - a >= 9 for a, b in itertools.pairwise(numbers[:-1]))  # one frame may be on its way
    assert report["frames"] == len(numbers) <= 12
    assert report["frames"] + report["dropped"] == 100
    assert numbers[-1] == 100  # the newest there was
    assert report["latency_ms"]["p50"] > 0


def test_an_interrupt_ends_a_live_source_and_not_a_film(tiny_bundle):
    class Interrupted(FrameSource):
        count = rate = None
        dropped, unreadable = 0, ()

        def __init__(self, live: bool):
            self.live = live

        def __iter__(self):
            raise KeyboardInterrupt
            yield

    with edgekit.load(tiny_bundle) as predictor:
        assert run(predictor, Interrupted(True), [])["frames"] == 0
        with pytest.raises(KeyboardInterrupt):
            run(predictor, Interrupted(False), [])


def test_threads_of_a_source_end_with_it():
    camera = FastCamera()
    camera.close()
    assert not any(t.name == "grab frames" and t.is_alive() for t in threading.enumerate())

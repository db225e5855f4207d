"""Photographs, videos and cameras as sources of frames."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from edgekit.errors import EdgekitError
from edgekit.frames import camera as camera_module
from edgekit.frames.camera import Camera, csi_pipeline
from edgekit.frames.images import write_png
from edgekit.frames.open_input import open_input
from edgekit.frames.source import Photographs
from edgekit.frames.video import EndsEarly, Video, VideoWriter

cv2 = pytest.importorskip("cv2")


def picture(value: int, size: tuple[int, int] = (48, 64)) -> np.ndarray:
    out = np.zeros((*size, 3), np.uint8)
    out[..., 0] = value  # red
    return out


@pytest.fixture
def film(tmp_path) -> Path:
    with VideoWriter(tmp_path / "film.avi", 10) as writer:
        for i in range(20):
            writer.write(picture(10 * i))
    return tmp_path / "film.avi"


def test_what_is_written_is_read_again(film):
    source = open_input(str(film))
    assert isinstance(source, Video) and not source.live
    assert (source.count, source.rate) == (20, 10)
    shots = list(source)
    source.close()
    assert [s.name for s in shots] == [f"{i:06d}" for i in range(20)]
    for i, shot in enumerate(shots):
        assert shot.colour == "rgb" and shot.rgb().shape == (48, 64, 3)
        red, green, blue = shot.rgb().reshape(-1, 3).mean(0)
        assert abs(red - 10 * i) < 6 and green < 6 and blue < 6  # JPEG within the film


def test_a_film_that_ends_early_gives_its_frames_first(tmp_path):
    film = tmp_path / "noise.avi"  # incompressible: most of the file is frames
    with VideoWriter(film, 10) as writer:
        for i in range(20):
            writer.write(np.random.default_rng(i).integers(0, 256, (96, 128, 3), dtype=np.uint8))
    content = film.read_bytes()
    film.write_bytes(content[: len(content) // 2])
    source = Video(film)
    seen = []
    with pytest.raises(EndsEarly, match="of 20 frames") as error:
        seen.extend(source)
    source.close()
    assert 0 < len(seen) < 18 and str(film) in error.value.where


def test_what_is_no_film(tmp_path):
    for content in (b"", b"text\n" * 1000):
        (tmp_path / "x.mp4").write_bytes(content)
        with pytest.raises(EdgekitError, match="cannot be opened"):
            open_input(str(tmp_path / "x.mp4"))


@pytest.mark.parametrize("how", ["ffconcat version 1.0\nfile '{}'\n", "#EXTM3U\n#EXTINF:1,\n{}\n#EXT-X-ENDLIST\n"])
@pytest.mark.parametrize("name", ["list.mp4", "list.mkv", "list.txt", "list"])
def test_a_list_of_films_opens_none(film, tmp_path, how, name):
    (tmp_path / name).write_text(how.format(film) + "\0" * 50)
    with pytest.raises(EdgekitError):
        open_input(str(tmp_path / name))


def test_a_films_name_is_no_protocol(film, tmp_path, monkeypatch):
    """FFmpeg would take `concat:` for one."""
    monkeypatch.chdir(tmp_path)
    shutil.copy(film, "concat:a.mp4")
    assert open_input("concat:a.mp4").count == 20


def test_what_is_neither_photograph_nor_film(tmp_path):
    (tmp_path / "notes.txt").write_text("text\n" * 1000)
    with pytest.raises(EdgekitError, match=r"'notes.txt' is neither a photograph nor a video") as error:
        open_input(str(tmp_path / "notes.txt"))
    assert ".jpg" in error.value.fix and ".mp4" in error.value.fix


def test_a_film_of_an_unusual_name_is_read(film):
    assert open_input(str(film.rename(film.with_suffix(".film")))).count == 20


FULL = """
import resource, sys
import numpy as np
from edgekit.frames.video import VideoWriter
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), int(sys.argv[2])))
with VideoWriter(__import__("pathlib").Path(sys.argv[1]), 10) as writer:
    for i in range(40):
        writer.write(np.random.default_rng(i).integers(0, 256, (96, 128, 3), dtype=np.uint8))
"""


@pytest.mark.parametrize("room", [1000, 100_000])
@pytest.mark.parametrize("suffix", [".mp4", ".avi", ".mkv"])
def test_a_full_disk_is_told(tmp_path, suffix, room):
    """OpenCV's encoder only logs it. A limit on the size of files stands for the disk."""
    command = [sys.executable, "-c", FULL, str(tmp_path / f"film{suffix}"), str(room)]
    # FFmpeg quotes bytes of the file on stderr
    done = subprocess.run(command, capture_output=True, text=True, errors="replace")
    assert "EdgekitError" in done.stderr and "disk may be full" in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("suffix", [".mp4", ".avi", ".mkv", ".mov", ".m4v"])
@pytest.mark.parametrize("count", [1, 2, 7, 40])
def test_a_whole_film_passes_for_one(tmp_path, suffix, count):
    with VideoWriter(tmp_path / f"film{suffix}", 25) as writer:
        for i in range(count):
            writer.write(picture(5 * i))
    assert len(list(Video(tmp_path / f"film{suffix}"))) == count


@pytest.mark.parametrize("rate", [1 / 3600, 0.0004, 0.4])
@pytest.mark.parametrize("suffix", [".mp4", ".avi", ".mkv"])
def test_a_film_of_a_frame_an_hour(tmp_path, suffix, rate):
    """Of the slowest there are, frames are shown several times or one of them stands for several."""
    with VideoWriter(tmp_path / f"film{suffix}", rate) as writer:
        for i in range(3):
            writer.write(picture(60 * i), at=i / rate)
    shown = [int(shot.rgb()[..., 0].mean() / 60 + 0.5) for shot in Video(tmp_path / f"film{suffix}")]
    assert shown == sorted(shown) and {0, 1, 2} == set(shown)


def test_a_written_film_is_whole_or_absent(tmp_path):
    path = tmp_path / "new" / "film.avi"
    with pytest.raises(RuntimeError), VideoWriter(path, 10) as writer:
        writer.write(picture(1))
        raise RuntimeError("killed")
    assert not path.exists() and list(path.parent.iterdir()) == []
    with pytest.raises(EndsEarly), VideoWriter(path, 10) as writer:
        writer.write(picture(1))
        raise EndsEarly("the source was cut")
    assert len(list(Video(path))) == 1
    with pytest.raises(EdgekitError, match="no frame to write"), VideoWriter(tmp_path / "none.avi", 10):
        pass
    assert not (tmp_path / "none.avi").exists()


def test_frames_of_two_sizes_make_no_film(tmp_path):
    with pytest.raises(EdgekitError, match="32×32 after ones of 64×48"), VideoWriter(tmp_path / "f.avi", 10) as writer:
        writer.write(picture(1))
        writer.write(picture(1, (32, 32)))


def test_kinds_of_film_that_cannot_be_written(tmp_path):
    with pytest.raises(EdgekitError, match="no video that can be written"):
        VideoWriter(tmp_path / "film.webm", 10)
    (tmp_path / "file").write_text("")
    with pytest.raises(EdgekitError, match="cannot write"), VideoWriter(tmp_path / "file" / "film.avi", 10):
        pass


def test_a_folder_of_photographs_in_order(tmp_path):
    for name in ("b.png", "a.png", "a.bmp", ".hidden.png"):
        write_png(tmp_path / name, picture(len(name)))
    (tmp_path / "notes.txt").write_text("")
    (tmp_path / "folder.png").mkdir()
    source = open_input(str(tmp_path))
    assert isinstance(source, Photographs) and source.count == 3
    assert [s.name for s in source] == ["a_bmp", "a_png", "b"]
    single = open_input(str(tmp_path / "b.png"))
    assert [(s.name, s.colour, s.image.shape) for s in single] == [("b", "rgb", (48, 64, 3))]


def test_a_folder_without_any(tmp_path):
    with pytest.raises(EdgekitError, match="no photographs"):
        open_input(str(tmp_path))
    with pytest.raises(EdgekitError, match="there is no"):
        open_input(str(tmp_path / "nowhere"))


def test_a_damaged_photograph_is_named(tmp_path):
    (tmp_path / "a.png").write_bytes(b"\x89PNG")
    for given in (tmp_path, tmp_path / "a.png"):
        with pytest.raises(EdgekitError) as error:
            list(open_input(str(given)))
        assert "a.png" in error.value.where
    write_png(tmp_path / "b.png", picture(1))
    source = open_input(str(tmp_path))
    assert [shot.name for shot in source] == ["b"]
    assert [error.where for error in source.unreadable] == [str(tmp_path / "a.png")]


def test_a_camera_that_is_not_there():
    with pytest.raises(EdgekitError, match="camera '87' cannot be opened") as caught:
        open_input("87")
    assert "/dev/video*" in caught.value.fix


@pytest.mark.parametrize(
    ("text", "called", "advice", "silent"),
    [
        ("rtsp://127.0.0.1:9/x", "stream", "ffprobe 'rtsp://127.0.0.1:9/x'", "/dev/video"),
        ("http://127.0.0.1:9/x.m3u8", "stream", "address", "/dev/video"),
        ("tcp://127.0.0.1:9", "stream", "address", "v4l2"),
        ("/dev/video87", "camera", "v4l2-ctl", "ffprobe"),
        ("csi://3", "camera", "nvargus-daemon", "/dev/video"),
        ("videotestsrc ! appsink", "pipeline", "gst-launch-1.0", "/dev/video"),
    ],
)
@pytest.mark.parametrize("frames", [None, 0])
def test_advice_is_about_what_was_named(monkeypatch, text, called, advice, silent, frames):
    """Whether it does not open, or opens and gives no frame."""
    monkeypatch.setattr(cv2, "getBuildInformation", lambda: "    GStreamer:                   YES (1.20.3)\n")
    monkeypatch.setattr(camera_module, "open_capture", lambda *_: None if frames is None else FakeCapture(frames))
    with pytest.raises(EdgekitError, match="cannot be opened" if frames is None else "gives no frame") as caught:
        list(open_input(text))
    assert called in caught.value.what and advice in caught.value.fix and silent not in caught.value.fix


@pytest.mark.parametrize("name", ["00", "007", "2024", "100", "٣", "a ! b", "http:"])
def test_a_folder_is_what_it_is_whatever_it_is_called(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(EdgekitError):
        open_input(name)
    write_png(tmp_path / name / "a.png", picture(1))
    source = open_input(name)
    assert isinstance(source, Photographs) and [shot.name for shot in source] == ["a"]


def test_a_folder_that_is_called_like_a_camera_is_asked_about(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(camera_module, "open_capture", lambda *_: FakeCapture(1))
    for index in ("0", "7", "12"):
        assert isinstance(open_input(index), Camera)
        write_png(tmp_path / index / "a.png", picture(1))
        with pytest.raises(EdgekitError, match="camera's index") as caught:
            open_input(index)
        assert f"/dev/video{index}" in caught.value.fix and f"./{index}" in caught.value.fix
        assert isinstance(open_input(f"./{index}"), Photographs)


class FakeCapture:
    def __init__(self, frames: int):
        self._left = frames
        self.released = False

    def set(self, *_): ...

    def get(self, _) -> float:
        return 30.0

    def read(self):
        self._left -= 1
        return (True, np.zeros((4, 4, 3), np.uint8)) if self._left >= 0 else (False, None)

    def release(self) -> None:
        self.released = True


def test_a_camera_gives_its_frames_and_lets_go(monkeypatch):
    capture = FakeCapture(3)
    monkeypatch.setattr(camera_module, "open_capture", lambda *_: capture)
    camera = open_input("0")
    assert isinstance(camera, Camera) and camera.live and camera.count is None and camera.rate == 30
    seen = list(camera)
    camera.close()
    assert len(seen) + camera.dropped == 3 and capture.released


def test_a_camera_without_frames(monkeypatch):
    monkeypatch.setattr(camera_module, "open_capture", lambda *_: FakeCapture(0))
    with pytest.raises(EdgekitError, match="gives no frame"):
        list(open_input("/dev/video0"))


@pytest.mark.parametrize("text", ["csi://0", "csi://1?width=1280&height=720&fps=60", "videotestsrc ! appsink"])
def test_gstreamer_is_asked_for_what_opencv_has_not(text, monkeypatch):
    monkeypatch.setattr(cv2, "getBuildInformation", lambda: "Video I/O:\n    GStreamer:                   NO\n")
    with pytest.raises(EdgekitError, match="without GStreamer") as error:
        open_input(text)
    assert "system-site-packages" in error.value.fix


def test_with_gstreamer_the_pipeline_is_opened(monkeypatch):
    monkeypatch.setattr(cv2, "getBuildInformation", lambda: "    GStreamer:                   YES (1.20.3)\n")
    asked = []
    monkeypatch.setattr(camera_module, "open_capture", lambda *what: asked.append(what) or FakeCapture(1))
    list(open_input("csi://1?width=1280&height=720&fps=60"))
    ((pipeline, api),) = asked
    assert api == cv2.CAP_GSTREAMER
    assert "sensor-id=1 " in pipeline and "width=1280,height=720,framerate=60/1" in pipeline
    assert pipeline.endswith("appsink drop=true max-buffers=1 sync=false")


@pytest.mark.parametrize(
    "text", ["csi://", "csi://x", "csi://0?width=0", "csi://0?with=3", "csi://0?fps=3;rm", "csi:0"]
)
def test_what_is_no_jetson_camera(text):
    with pytest.raises(EdgekitError, match="is no camera"):
        csi_pipeline(text)


def test_what_damaged_films_hold_is_not_printed(film, tmp_path, capfd):
    """OpenCV's own reader of AVIs prints the bytes that it finds."""
    whole, opened = film.read_bytes(), 0
    for place in range(12, 200, 4):
        (tmp_path / "b.avi").write_bytes(whole[:place] + b"\x1b[3m" + whole[place + 4 :])
        try:
            source = Video(tmp_path / "b.avi")
            opened += len(list(source)) > 0
            source.close()
        except EdgekitError as error:
            assert error.where and error.fix
    said = "".join(capfd.readouterr())
    assert "\x1b" not in said and "Unexpected" not in said and opened

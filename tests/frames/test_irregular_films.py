"""Films whose frames are not evenly spaced: made by PyAV, which writes any time, and read by it to compare."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from edgekit.frames.video import EndsEarly, Video, VideoWriter

pytest.importorskip("cv2")
av = pytest.importorskip("av")

MILLISECOND = Fraction(1, 1000)
EVEN = [round(1000 * i / 30) for i in range(45)]
TIMES = {
    "even": EVEN,
    "every third lost": [t for i, t in enumerate(EVEN) if i % 3 != 1],
    "three seconds lost": [*EVEN[:20], *(t + 3000 for t in EVEN[20:35])],
    "irregular": np.cumsum(np.random.default_rng(0).choice([20, 40, 100, 200], 30)).tolist(),
    "slower and slower": [round(30 * i + i * i) for i in range(30)],
}
TIMES["irregular"].insert(0, 0)
CODECS = {".mkv": "mpeg4", ".webm": "libvpx", ".mp4": "mpeg4", ".mov": "mpeg4", ".avi": "mjpeg"}
FILMS = [(suffix, name) for suffix in (".mkv", ".mp4") for name in TIMES]
FILMS += [(suffix, name) for suffix in (".webm", ".mov", ".avi") for name in ("every third lost", "irregular")]


def write_film(path: Path, times: list[int], size: tuple[int, int] = (64, 48), noise: bool = False) -> Path:
    """One frame at each of ``times`` in milliseconds; frame i has the brightness 20·(i mod 12), or is noise."""
    with av.open(str(path), "w") as file:
        fast = {"deadline": "realtime", "cpu-used": "8"} if path.suffix == ".webm" else {}
        stream = file.add_stream(CODECS[path.suffix], rate=30, options=fast)
        stream.width, stream.height = size
        stream.pix_fmt = "yuvj420p" if path.suffix == ".avi" else "yuv420p"
        stream.codec_context.time_base = MILLISECOND
        for i, time in enumerate(times):
            pixels = np.full((size[1], size[0], 3), 20 * (i % 12), np.uint8)
            if noise:
                pixels = np.random.default_rng(i).integers(0, 256, pixels.shape, dtype=np.uint8)
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts, frame.time_base = time, MILLISECOND
            file.mux(stream.encode(frame))
        file.mux(stream.encode())
    return path


def seconds_of(path: Path) -> float:
    with av.open(str(path)) as file:
        return file.duration / av.time_base


@pytest.mark.parametrize(("suffix", "name"), FILMS)
def test_every_frame_is_read_at_its_time_and_the_film_passes_for_whole(tmp_path, suffix, name):
    times = TIMES[name]
    film = Video(write_film(tmp_path / f"film{suffix}", times))
    shots = list(film)
    film.close()
    assert len(shots) == len(times)
    expected = (np.array(times) - times[0]) / 1000
    np.testing.assert_allclose([shot.at for shot in shots], expected, atol=0.0011)


def test_a_film_without_a_rate_as_browsers_write_it(tmp_path):
    """FFmpeg then guesses 1000 frames per second: that is no rate, and nothing tells how many frames there are."""
    times = np.cumsum([0, *np.random.default_rng(0).integers(20, 60, 39)]).tolist()
    path = write_film(tmp_path / "film.webm", times, noise=True)
    written = bytearray(path.read_bytes())
    at = written.find(b"\x23\xe3\x83")  # DefaultDuration, of EBML; a Void element takes its place
    size = written[at + 3] & 0x7F
    written[at : at + 4 + size] = b"\xec" + bytes([0x80 | (size + 2)]) + bytes(size + 2)
    path.write_bytes(written)
    film = Video(path)
    assert film.count is None and film.seconds
    assert len(list(film)) == len(times) and 20 < film.rate < 50
    film.close()
    path.unlink()
    assert film.rate is None


@pytest.mark.parametrize(("suffix", "name"), FILMS)
def test_what_is_written_from_it_is_as_long_and_shows_the_same_at_every_time(tmp_path, suffix, name):
    times = TIMES[name]
    source = Video(write_film(tmp_path / f"film{suffix}", times))
    with VideoWriter(tmp_path / "overlay.mp4", source.rate) as writer:
        for shot in source:
            writer.write(shot.rgb(), shot.name, shot.at)
        writer.hold(source.seconds)
    rate = source.rate
    assert seconds_of(tmp_path / "overlay.mp4") == pytest.approx(source.seconds, abs=1.5 / rate)
    shown = [int(shot.rgb().mean()) for shot in Video(tmp_path / "overlay.mp4")]
    starts = (np.array(times) - times[0]) / 1000
    for i, brightness in enumerate(shown):  # the frame that the source shows then, or at most half a frame away from it
        near = {np.searchsorted(starts, i / rate + d, side="right") - 1 for d in (-0.6 / rate, 0, 0.6 / rate)}
        assert any(abs(brightness - 20 * (max(k, 0) % 12)) < 10 for k in near), (i, brightness)


@pytest.mark.parametrize(("suffix", "share"), [(".mkv", 0.5), (".mkv", 0.9), (".webm", 0.5), (".avi", 0.5)])
@pytest.mark.parametrize("times", [EVEN, TIMES["every third lost"], TIMES["irregular"]])
def test_a_film_cut_off_is_noticed_though_its_frames_are_irregular(tmp_path, suffix, share, times):
    film = write_film(tmp_path / f"film{suffix}", times, size=(96, 64), noise=True)
    content = film.read_bytes()
    film.write_bytes(content[: int(share * len(content))])
    seen = []
    with pytest.raises(EndsEarly):
        seen.extend(Video(film))
    assert 0 < len(seen) < len(times)


@pytest.mark.parametrize(("step", "rate"), [(100, 10), (40, 25), (17, 1000 / 17)])
@pytest.mark.parametrize("suffix", [".mkv", ".mp4", ".avi"])
def test_the_rate_is_that_of_the_frames_whatever_the_file_states(tmp_path, suffix, step, rate):
    """The files state 30 frames a second, or an average, or a thousand."""
    film = write_film(tmp_path / f"film{suffix}", [step * i for i in range(30)])
    assert Video(film).rate == pytest.approx(rate, rel=0.1)
    lost = write_film(tmp_path / f"lost{suffix}", [step * i for i in range(30) if i not in (3, 4, 9, 15, 16, 17)])
    assert Video(lost).rate == pytest.approx(rate, rel=0.1)


@pytest.mark.parametrize("suffix", [".mp4", ".avi", ".mkv"])
@pytest.mark.parametrize("size", [(143, 191), (144, 191), (143, 192), (144, 192), (49, 33)])
def test_no_row_and_no_column_of_an_odd_picture_is_lost(tmp_path, suffix, size):
    """An odd side becomes one longer, for OpenCV would make it one shorter; the last row and column show the same."""
    picture = np.zeros((*size, 3), np.uint8)
    picture[-9:], picture[:, -9:] = 250, 250
    with VideoWriter(tmp_path / f"film{suffix}", 25) as writer:
        for _ in range(3):
            writer.write(picture)
    (first, *rest) = Video(tmp_path / f"film{suffix}")
    assert len(rest) == 2 and first.image.shape == (size[0] + size[0] % 2, size[1] + size[1] % 2, 3)
    error = np.abs(first.rgb()[: size[0], : size[1]].astype(int) - picture)
    assert error.mean() < 5 and first.image[-1].mean() > 235 and first.image[:, -1].mean() > 235

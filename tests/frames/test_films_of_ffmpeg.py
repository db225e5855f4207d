"""Films as ffmpeg writes them, read frame by frame as ffmpeg itself reads them: every pixel and every time."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from edgekit.frames.video import Video

pytest.importorskip("av")
imageio_ffmpeg = pytest.importorskip("imageio_ffmpeg", reason="no ffmpeg to compare with")

COUNT, HEIGHT, WIDTH, BITS = 60, 48, 96, 6
H264 = ["-c:v", "libx264", "-pix_fmt", "yuv420p"]
GAPS = ["-vf", "select='not(mod(n,3)-1)+lt(mod(n,7),4)'", "-fps_mode", "vfr"]
AUDIO = ["-f", "lavfi", "-i", "sine=d=5"]
HD = ["-colorspace", "bt709", "-color_primaries", "bt709", "-color_trc", "bt709"]

FILMS: dict[str, tuple[str, list[str]]] = {
    "no B-frames": (".mp4", [*H264, "-bf", "0"]),
    "B-frames": (".mp4", [*H264, "-bf", "3", "-g", "24"]),
    "B-frames in Matroska": (".mkv", [*H264, "-bf", "3", "-g", "24"]),
    "B-frames in AVI": (".avi", ["-c:v", "mpeg4", "-bf", "2"]),
    "open groups": (".mkv", ["-c:v", "libx265", "-pix_fmt", "yuv420p", "-x265-params", "bframes=3:open-gop=1"]),
    "variable rate": (".mp4", [*GAPS, *H264, "-bf", "3"]),
    "variable rate in Matroska": (".mkv", [*GAPS, *H264, "-bf", "3"]),
    "HD colours": (".mp4", ["-vf", "scale=out_color_matrix=bt709:out_range=tv", *HD, *H264]),
    "full range": (".mp4", ["-vf", "scale=out_color_matrix=bt709:out_range=pc", *HD, "-color_range", "pc", *H264[:2],
                            "-pix_fmt", "yuvj420p"]),
    "10 bits": (".mp4", ["-c:v", "libx265", "-pix_fmt", "yuv420p10le"]),
    "full chroma": (".mp4", ["-c:v", "libx264", "-pix_fmt", "yuv444p"]),
    "interlaced": (".mp4", [*H264, "-flags", "+ilme+ildct", "-x264-params", "tff=1"]),
    "WebM": (".webm", ["-c:v", "libvpx-vp9", "-pix_fmt", "yuv420p", "-deadline", "realtime", "-cpu-used", "8"]),
    "transport stream": (".ts", [*H264, "-bf", "3"]),
    "longer audio": (".mp4", [*AUDIO, *H264, "-map", "0:v", "-map", "1:a"]),
    "longer audio in Matroska": (".mkv", [*AUDIO, *H264, "-map", "0:v", "-map", "1:a"]),
}  # fmt: skip


def ffmpeg(*words: object, given: bytes | None = None) -> bytes:
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-y", *map(str, words)]
    return subprocess.run(command, input=given, capture_output=True, check=True).stdout


def numbered() -> np.ndarray:
    """(60, 48, 96, 3): each spells its number in black and white above a picture that moves."""
    rng = np.random.default_rng(0)
    ground = rng.integers(0, 256, (1, HEIGHT // 8, 2 * WIDTH // 8, 3)).astype(np.uint8).repeat(8, 1).repeat(8, 2)
    frames = np.concatenate([ground[:, :, i : i + WIDTH] for i in range(COUNT)])
    for number in range(COUNT):
        for bit in range(BITS):
            frames[number, :16, 16 * bit : 16 * bit + 16] = 255 * (number >> bit & 1)
    return frames


def number_of(rgb: np.ndarray) -> int:
    return sum(int(rgb[4:12, 16 * bit + 4 : 16 * bit + 12].mean() > 127) << bit for bit in range(BITS))


@pytest.fixture(scope="module")
def write(tmp_path_factory) -> Callable[[str], Path]:
    """``write(name)``: the film of ``FILMS``."""
    folder, raw = tmp_path_factory.mktemp("films"), numbered().tobytes()

    def write(name: str) -> Path:
        suffix, words = FILMS[name]
        path = folder / f"{name.replace(' ', '-')}{suffix}"
        if not path.exists():
            given = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{WIDTH}x{HEIGHT}", "-r", "25", "-i", "-"]
            ffmpeg(*given, *words, path, given=raw)
        return path

    return write


def as_ffmpeg_shows(film: Path) -> tuple[np.ndarray, np.ndarray]:
    """Frames (N, H, W, 3) and their times in seconds from the first."""
    shown = ["-i", film, "-map", "0:v:0", "-fps_mode", "passthrough", "-pix_fmt", "rgb24"]
    listed = ffmpeg(*shown, "-f", "framemd5", "-").decode()
    base = re.search(r"#tb 0: (\d+)/(\d+)", listed)
    width, height = map(int, re.search(r"#dimensions 0: (\d+)x(\d+)", listed).groups())
    stamps = np.array([int(line.split(",")[2]) for line in listed.splitlines() if line[:1] != "#"])
    frames = np.frombuffer(ffmpeg(*shown, "-f", "rawvideo", "-"), np.uint8).reshape(-1, height, width, 3)
    return frames, (stamps - stamps[0]) * int(base[1]) / int(base[2])


def assert_as_ffmpeg_shows(film: Path) -> list[np.ndarray]:
    frames, times = as_ffmpeg_shows(film)
    source = Video(film)
    shots = list(source)
    source.close()
    assert [shot.image.shape for shot in shots] == [frame.shape for frame in frames]
    np.testing.assert_allclose([shot.at for shot in shots], times, atol=1e-6)
    found = np.stack([shot.rgb() for shot in shots])
    # Versions of FFmpeg round a little differently.
    assert np.abs(found.astype(int) - frames).max() <= 3
    return list(found)


@pytest.mark.parametrize("name", FILMS)
def test_every_frame_is_ffmpegs(write, name):
    found = assert_as_ffmpeg_shows(write(name))
    taken = [n for n in range(COUNT) if "variable" not in name or n % 3 == 1 or n % 7 < 4]
    assert [number_of(frame) for frame in found] == taken


@pytest.mark.parametrize("degrees", [90, 180, 270])
@pytest.mark.parametrize("name", ["B-frames", "variable rate"])
def test_a_film_that_says_how_it_is_turned(write, tmp_path, name, degrees):
    ffmpeg("-display_rotation", degrees, "-i", write(name), "-c", "copy", tmp_path / "turned.mp4")
    found = assert_as_ffmpeg_shows(tmp_path / "turned.mp4")
    assert found[0].shape == ((WIDTH, HEIGHT, 3) if degrees % 180 else (HEIGHT, WIDTH, 3))


@pytest.mark.parametrize("suffix", [".mp4", ".mov"])
@pytest.mark.parametrize("start", [0.5, 1.3])
def test_a_film_cut_without_coding_it_again_begins_where_it_says(write, tmp_path, start, suffix):
    """It holds frames before its beginning, which the first ones need and nobody shall see."""
    ffmpeg("-ss", start, "-i", write("B-frames"), "-c", "copy", tmp_path / f"cut{suffix}")
    found = assert_as_ffmpeg_shows(tmp_path / f"cut{suffix}")
    assert [number_of(frame) for frame in found] == list(range(COUNT - len(found), COUNT)) and len(found) < COUNT


def test_a_film_whose_size_changes_gives_each_frame_at_its_own(write, tmp_path):
    big = tmp_path / "big.ts"
    ffmpeg("-i", write("transport stream"), "-vf", "scale=192:96", *H264, big)
    both = tmp_path / "both.ts"
    both.write_bytes(write("transport stream").read_bytes() + big.read_bytes())
    shapes = [shot.image.shape[:2] for shot in Video(both)]
    assert shapes == [(HEIGHT, WIDTH)] * COUNT + [(2 * HEIGHT, 2 * WIDTH)] * COUNT


@pytest.mark.parametrize("name", ["B-frames", "B-frames in Matroska", "longer audio in Matroska", "transport stream"])
def test_damage_costs_frames_and_never_the_process(write, tmp_path, name):
    from edgekit.errors import EdgekitError

    whole = write(name).read_bytes()
    for seed in range(8):
        rng = np.random.default_rng(seed)
        content = bytearray(whole)
        for place in rng.integers(200, len(whole), 30):
            content[place] ^= int(rng.integers(1, 256))
        film = tmp_path / f"{seed}{write(name).suffix}"
        film.write_bytes(content)
        seen = []
        try:
            for shot in Video(film):
                seen.append(shot.image.shape)
        except EdgekitError as error:
            assert error.where and error.fix
        assert len(seen) <= COUNT + 2

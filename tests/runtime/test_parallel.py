"""Frames of several sensors: which picture of one goes beside which of the other."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edgekit.errors import EdgekitError
from edgekit.frames.images import write_png
from edgekit.frames.video import VideoWriter
from edgekit.runtime.parallel import open_sensors
from edgekit.tasks import Task
from edgekit.tasks.modality import RGB

SIZE = (32, 48)
NIR = Task("nir", "modality", channels=1, range=(0.0, 255.0))
HEAT = Task("heat", "modality", channels=1, range=(200.0, 400.0))


def film(path: Path, rate: float, count: int) -> Path:
    """Frame i is grey, 4 · i + 20."""
    with VideoWriter(path, rate) as writer:
        for i in range(count):
            writer.write(np.full((*SIZE, 3), 4 * i + 20, np.uint8))
    return path


def numbers(inputs: dict[str, Path], may_lack: tuple[str, ...] = ()) -> list[tuple[int | None, ...]]:
    """The numbers of the pictures that each frame holds, rgb's and nir's; None where there is none."""
    source = open_sensors({name: str(path) for name, path in inputs.items()}, (RGB, NIR), may_lack)
    found = []
    for shot in source:
        shown = [shot.image.get(name) for name in ("rgb", "nir")]
        found.append(tuple(None if map_ is None else round((float(map_.mean()) - 20) / 4) for map_ in shown))
    source.close()
    return found


def test_films_of_one_rate_go_frame_beside_frame(tmp_path):
    inputs = {"rgb": film(tmp_path / "a.mp4", 30, 12), "nir": film(tmp_path / "b.mp4", 30, 12)}
    assert numbers(inputs) == [(i, i) for i in range(12)]


@pytest.mark.parametrize("rate, beside", [(30, 10), (30, 9), (10, 30), (25, 30)])
def test_of_a_film_of_another_rate_the_nearest_in_time(tmp_path, rate, beside):
    inputs = {"rgb": film(tmp_path / "a.mp4", rate, rate), "nir": film(tmp_path / "b.mp4", beside, beside)}
    found = numbers(inputs)
    assert [a for a, _ in found] == list(range(rate))
    for i, j in found:
        away = abs(i / rate - j / beside)
        assert away <= min(abs(i / rate - k / beside) for k in range(beside)) + 1e-3


def test_a_film_that_ends_earlier_is_missing_from_there_on(tmp_path):
    inputs = {"rgb": film(tmp_path / "a.mp4", 30, 30), "nir": film(tmp_path / "b.mp4", 10, 5)}
    source = open_sensors({name: str(path) for name, path in inputs.items()}, (RGB, NIR), ("nir",))
    there = ["nir" in shot.image for shot in source]
    assert there == [i / 30 <= 0.4 + 0.1 + 1e-6 for i in range(30)]
    assert source.without == {"nir": there.count(False)}
    source.close()
    with pytest.raises(EdgekitError, match="there is no 'nir' of"):
        numbers(inputs)


def test_frames_without_a_sensor_are_counted(tmp_path):
    for i in range(4):
        write_png(tmp_path / "rgb" / f"{i}.png", np.zeros((*SIZE, 3), np.uint8))
    (tmp_path / "heat").mkdir()
    Image.fromarray(np.full(SIZE, 300, np.uint16)).save(tmp_path / "heat" / "2.png")
    inputs = {"rgb": str(tmp_path / "rgb"), "heat": str(tmp_path / "heat")}
    source = open_sensors(inputs, (RGB, HEAT), ("heat",))
    for _ in range(2):  # each pass counts anew
        assert ["heat" in shot.image for shot in source] == [False, False, True, False]
        assert source.without == {"heat": 3}
    source.close()
    alone = open_sensors({"rgb": str(tmp_path / "rgb")}, (RGB, HEAT), ("heat",))
    assert len(list(alone)) == 4 and alone.without == {"heat": 4}


def test_names_that_match_no_frame_are_refused(tmp_path):
    write_png(tmp_path / "rgb" / "DJI_0_W.png", np.zeros((*SIZE, 3), np.uint8))
    (tmp_path / "heat").mkdir()
    Image.fromarray(np.full(SIZE, 300, np.uint16)).save(tmp_path / "heat" / "DJI_0_T.png")
    with pytest.raises(EdgekitError, match=r"no file of 'heat' has the name of a frame: DJI_0_T.png, DJI_0_W.png"):
        open_sensors({"rgb": str(tmp_path / "rgb"), "heat": str(tmp_path / "heat")}, (RGB, HEAT), ("heat",))


@pytest.mark.parametrize("ending", ["png", "npz"])
@pytest.mark.parametrize("rgb_too", [False, True])
def test_a_sensor_that_is_no_camera_can_set_the_pace(tmp_path, ending, rgb_too):
    """A network of heat alone, and one of rgb and heat at night."""
    (tmp_path / "heat").mkdir()
    for i in range(3):
        map_ = np.full(SIZE, 300 + i, np.uint16 if ending == "png" else np.float32)
        if ending == "png":
            Image.fromarray(map_).save(tmp_path / "heat" / f"{i}.png")
        else:
            np.savez(tmp_path / "heat" / f"{i}.npz", map_)
    sees, lacks = ((RGB, HEAT), ("rgb",)) if rgb_too else ((HEAT,), ())
    source = open_sensors({"heat": str(tmp_path / "heat")}, sees, lacks)
    shots = list(source)
    assert [shot.name for shot in shots] == ["0", "1", "2"] and [list(shot.image) for shot in shots] == [["heat"]] * 3
    assert [float(shot.image["heat"].mean()) for shot in shots] == [300, 301, 302]
    assert source.without == ({"rgb": 3} if rgb_too else {})
    one = open_sensors({"heat": str(tmp_path / "heat" / f"1.{ending}")}, sees, lacks)
    assert [float(shot.image["heat"].mean()) for shot in one] == [301]


def test_what_cannot_set_the_pace_is_told(tmp_path):
    with pytest.raises(EdgekitError, match="no frames are named"):
        open_sensors({}, (RGB, HEAT), ("rgb",))
    with pytest.raises(EdgekitError, match="the network sees 'heat' too"):
        open_sensors({"rgb": "0"}, (RGB, HEAT), ("rgb",))
    for gone in ("gone.npz", "gone.png", "gone"):
        with pytest.raises(EdgekitError, match="there is no such file or folder"):
            open_sensors({"heat": str(tmp_path / gone)}, (HEAT,), ())
    with pytest.raises(EdgekitError, match="a picture does not hold 'heat'"):
        open_sensors({"heat": str(film(tmp_path / "a.mp4", 30, 3))}, (RGB, HEAT), ("rgb",))
    (tmp_path / "empty").mkdir()
    with pytest.raises(EdgekitError, match="no files of frames"):
        open_sensors({"heat": str(tmp_path / "empty")}, (HEAT,), ())

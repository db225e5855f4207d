"""Frames as they are given to a Predictor: checked, and as batches by modality."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from edgekit.bundle.manifest import Preprocessing, Sensor
from edgekit.errors import EdgekitError
from edgekit.runtime.preprocess import Frames
from edgekit.tasks import kind_of
from edgekit.tasks.modality import RGB, native_type

Given = np.ndarray | Mapping[str, np.ndarray]
"""A frame or a batch: an array, of a network that sees one modality, or modality → array."""

_ORDERS = ("rgb", "bgr")


class FrameReader:
    """What a network's frames may be."""

    def __init__(self, preprocessing: Preprocessing):
        self._sensors = {sensor.task.name: sensor for sensor in preprocessing.sensors()}
        self._may_lack = preprocessing.may_lack

    def __call__(self, frames: Given, colour: str = "rgb") -> tuple[Frames, bool]:
        """(frames (N, H, W, C) by modality, in the network's order, of its types; whether a single one was given).

        EdgekitError for what is no frame, for modalities that are missing or unknown, for those of several numbers of
        frames or that cannot show the same view, and for an unknown order of colours.
        """
        if colour not in _ORDERS:
            raise EdgekitError(
                f"there is no colour order '{colour}'", where="colour", fix="use 'rgb', or 'bgr' for OpenCV's frames"
            )
        read = {name: _read(self._sensors[name], array) for name, array in self._by_name(frames).items()}
        batch, singles = {n: array for n, (array, _) in read.items()}, {single for _, single in read.values()}
        counts = {name: len(array) for name, array in batch.items()}
        if len(singles) > 1 or len(set(counts.values())) > 1:
            told = ", ".join(f"{name} {np.shape(frames[name])}" for name in batch)
            fix = "give one frame of each, or as many of one as of the other"
            raise EdgekitError(f"the modalities are not of the same frames: {told}", where=_GIVEN, fix=fix)
        _check_view({name: array.shape[1:3] for name, array in batch.items()})
        return batch, singles.pop()

    def one(self, frame: Given, colour: str = "rgb") -> Frames:
        """A batch of the one frame that was given. EdgekitError for a batch."""
        batch, single = self(frame, colour)
        if not single:
            raise EdgekitError("this is a batch, one frame is asked for", where=_GIVEN, fix="give one after the other")
        return batch

    def canvas(self, batch: Frames, size: tuple[int, int], colour: str) -> dict[str, np.ndarray]:
        """The one frame of a batch at the top left of (H, W), (H, W, C) by modality, the rest padding. ``colour``: the
        order of rgb's channels as given; those of the canvas are rgb.

        EdgekitError where modalities differ in resolution: tiles are cut from the frame's own pixels.
        """
        sizes = {name: array.shape[1:3] for name, array in batch.items()}
        if len(set(sizes.values())) > 1:
            told = ", ".join(f"{name} {height}x{width}" for name, (height, width) in sizes.items())
            fix = "resize them to one size, or leave tile out"
            raise EdgekitError(f"tiles need modalities of one size: {told} (height x width)", where="tile", fix=fix)
        out = {}
        for name, (frame,) in batch.items():
            sensor = self._sensors[name]
            out[name] = np.empty((*size, sensor.task.channels), sensor.dtype)
            out[name][:] = sensor.pad
            turned = name == RGB.name and colour != RGB.name
            out[name][: frame.shape[0], : frame.shape[1]] = frame[..., ::-1] if turned else frame
        return out

    def _by_name(self, frames: Given) -> Frames:
        known = ", ".join(self._sensors)
        if not isinstance(frames, Mapping):
            if len(self._sensors) == 1:
                return dict.fromkeys(self._sensors, frames)
            raise EdgekitError(
                f"the network sees {known}, and this is one {type(frames).__name__}",
                where=_GIVEN,
                fix="give a dict: {" + ", ".join(f'"{name}": …' for name in self._sensors) + "}",
            )
        unknown = [name for name in frames if name not in self._sensors]
        if unknown:
            raise EdgekitError(f"the network does not see '{unknown[0]}'", where=_GIVEN, fix=f"give {known}")
        there = {name: frames[name] for name in self._sensors if name in frames}
        missing = [name for name in self._sensors if name not in there]
        if not there or not set(missing) <= set(self._may_lack):
            name = next((name for name in missing if name not in self._may_lack), None)
            raise EdgekitError(
                f"there is no '{name}', which the network sees" if name else "there is no modality at all",
                where=_GIVEN,
                fix=f"give {known}"
                + (f"; it can do without {', '.join(self._may_lack)} alone" if name and self._may_lack else ""),
            )
        return there


_GIVEN = "the frames given"


def frame_size(frames: Frames) -> tuple[int, int]:
    """(H, W) of a batch: of its rgb, or else of its first modality."""
    return frames[_first(frames)].shape[1:3]


def _first(names: Iterable[str]) -> str:
    """The modality that a frame is shown as, and whose size is the frame's."""
    return RGB.name if RGB.name in names else next(iter(names))


def picture_of(frame: Given, preprocessing: Preprocessing, colour: str = "rgb") -> np.ndarray:
    """A frame to look at, (H, W, 3) uint8 rgb: its rgb, or its first modality."""
    if not isinstance(frame, Mapping):
        frame = {preprocessing.modalities[0].name: frame}
    there = {task.name: task for task in preprocessing.modalities if task.name in frame}
    name = _first(there)
    if name == RGB.name:
        return frame[name] if colour == "rgb" else frame[name][..., ::-1]
    return kind_of(there[name]).picture(there[name], np.asarray(frame[name], native_type(there[name])))


def _read(sensor: Sensor, array: np.ndarray) -> tuple[np.ndarray, bool]:
    """(N, H, W, C) of the sensor's type, and whether it was a single frame."""
    channels, name = sensor.task.channels, sensor.task.name
    shape = (channels,) if channels > 1 else ()
    frame_sides = 2 + len(shape)
    is_array = isinstance(array, np.ndarray)
    levels = sensor.dtype == "uint8"
    fits = is_array and array.ndim - frame_sides in (0, 1) and array.shape[array.ndim - len(shape) :] == shape
    if not fits or (array.dtype != np.uint8 if levels else array.dtype.kind not in "uif"):
        found = f"{array.shape} {array.dtype}" if is_array else type(array).__name__
        sides, kind = ", ".join(["H", "W", *map(str, shape)]), "uint8" if levels else "numbers"
        raise EdgekitError(
            f"a frame is ({sides}) {kind} and a batch (N, {sides}) {kind}, this is {found}",
            where=_GIVEN if name == "rgb" else f"{_GIVEN}: {name}",
            fix="give pixels of 0-255 as numpy uint8, three channels; drop an alpha channel, repeat a grey one"
            if channels == 3 and levels
            else f"give '{name}' as numpy {'uint8' if levels else 'numbers'} of {channels} channel(s)",
        )
    if not array.size:
        raise EdgekitError(
            f"the frames are empty: {array.shape}", where=_GIVEN, fix="give at least one frame of at least one pixel"
        )
    single = array.ndim == frame_sides
    batch = array[None] if single else array
    batch = batch if shape else batch[..., None]
    return batch if levels else batch.astype(np.float32, copy=False), single


def _check_view(sizes: Mapping[str, tuple[int, int]]) -> None:
    """EdgekitError where modalities have other proportions than the frame: they cannot show the same view."""
    first = _first(sizes)
    height, width = sizes[first]
    for name, (own_height, own_width) in sizes.items():
        if abs(own_height - height * own_width / width) > 1 and abs(own_width - width * own_height / height) > 1:
            raise EdgekitError(
                f"{first} is {height}x{width} and {name} {own_height}x{own_width} (height x width): they cannot show "
                "the same view",
                where=_GIVEN,
                fix="register them to one view, and cut them to it",
            )

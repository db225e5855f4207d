"""Frames of several sensors that go side by side: folders of files of the same names, or films of the same time."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from edgekit.errors import EdgekitError
from edgekit.frames.arrays import read_arrays
from edgekit.frames.images import PHOTO_SUFFIXES, is_photograph, read_rgb, read_values
from edgekit.frames.open_input import open_input
from edgekit.frames.source import CapturedFrame, FrameSource, Photographs
from edgekit.frames.video import Video
from edgekit.tasks import Task
from edgekit.tasks.modality import RGB, native_type

_ARRAYS = ".npz"
_SUFFIXES = (*PHOTO_SUFFIXES, _ARRAYS)


def read_modality(path: Path, task: Task) -> np.ndarray:
    """One frame of a modality from a file, in native units: (H, W), or (H, W, C).

    An ``.npz`` with one array; of 8-bit modalities with one or three channels a picture; of others with one channel a
    picture of whole numbers, up to 16 bits, as float32. EdgekitError, naming the file, for anything else.
    """
    if path.suffix.lower() == _ARRAYS:
        arrays = list(read_arrays(path, what=f"the file of '{task.name}'").values())
        if len(arrays) != 1:
            fix = "store one frame of one modality in a file"
            raise EdgekitError(f"the file holds {len(arrays)} arrays", where=str(path), fix=fix)
        return arrays[0][..., 0] if arrays[0].ndim == 3 and task.channels == 1 else arrays[0]
    if native_type(task) == np.uint8:
        return of_picture(read_rgb(path), task, str(path))
    if task.channels == 1:
        return read_values(path).astype(np.float32)
    raise _no_picture(task, str(path))


def of_picture(rgb: np.ndarray, task: Task, where: str) -> np.ndarray:
    """A picture (H, W, 3) uint8 as the map of an 8-bit modality. EdgekitError where it cannot be one."""
    if native_type(task) == np.uint8 and task.channels == 3:
        return rgb
    if native_type(task) == np.uint8 and task.channels == 1:
        return np.rint(rgb.mean(axis=2)).astype(np.uint8)
    raise _no_picture(task, where)


def open_sensors(inputs: Mapping[str, str], modalities: tuple[Task, ...], may_lack: tuple[str, ...]) -> FrameSource:
    """The frames of ``inputs``, modality → what ``open_input`` takes, of a network that sees ``modalities``.

    A source of rgb alone is that of ``open_input``. The first that is given sets the pace and the names; ``close()`` it
    afterwards. EdgekitError for modalities that are unknown, or missing and not in ``may_lack``.
    """
    if not inputs:
        raise EdgekitError("no frames are named", where="--input", fix="give --input, or --also NAME=FOLDER or FILM")
    tasks = {task.name: task for task in modalities}
    for name in inputs:
        if name not in tasks:
            raise EdgekitError(f"the network does not see '{name}'", where="--also", fix=f"it sees {', '.join(tasks)}")
    missing = [name for name in tasks if name not in inputs and name not in may_lack]
    if missing:
        raise EdgekitError(
            f"the network sees '{missing[0]}' too", where="--input", fix=f"add --also {missing[0]}=FOLDER or FILM"
        )
    first, *others = inputs
    with ExitStack() as opened:
        source = _pace(tasks[first], inputs[first])
        opened.callback(source.close)
        if first == RGB.name and len(modalities) == 1:
            opened.pop_all()
            return source
        sensors = [_open(tasks[name], Path(inputs[name]), source, opened) for name in others]
        out = SideBySide(source, tasks[first], sensors, may_lack)
        out.callbacks = opened.pop_all()
        return out


class SideBySide(FrameSource):
    """Frames of several sensors; ``image`` of each is modality → map. ``pace``: the frames of the ``first``.

    A frame for which a file is missing comes without that modality where the network may lack it, and counts in
    ``without``; elsewhere it is skipped, and listed in ``unreadable``, as is one with a file that cannot be read.
    """

    callbacks: ExitStack

    def __init__(
        self, pace: FrameSource, first: Task, others: list[_Folder | _Film | _Picture], may_lack: tuple[str, ...]
    ):
        self._pace, self._first, self._others, self._may_lack = pace, first, others, may_lack
        self.live, self.folder = pace.live, pace.folder
        self.files = [*pace.files, *(file for other in others for file in other.files)]
        self.count, self.rate, self.seconds = pace.count, pace.rate, pace.seconds
        self._bad: list[EdgekitError] = []
        self.without: Counter[str] = Counter()

    @property
    def unreadable(self) -> list[EdgekitError]:
        return [*self._pace.unreadable, *self._bad]

    @property
    def dropped(self) -> int:
        return self._pace.dropped

    def __iter__(self) -> Iterator[CapturedFrame]:
        self._bad.clear()
        self.without.clear()
        for shot in self._pace:
            if self._first.name != RGB.name and not isinstance(self._pace, Photographs):
                shot = replace(shot, image=of_picture(shot.rgb(), self._first, shot.name), colour="rgb")
            maps, why = {self._first.name: shot.image}, None
            for other in self._others:
                try:
                    found = other.of(shot)
                    if found is not None:
                        maps[other.task.name] = found
                    elif other.task.name not in self._may_lack:
                        fix = "give one for each frame"
                        what = f"there is no '{other.task.name}' of '{shot.name}'"
                        raise EdgekitError(what, where=other.where, fix=fix)
                except EdgekitError as error:
                    why = why or error
            if why is None:
                self.without.update(name for name in self._may_lack if name not in maps)
                yield replace(shot, image=maps)
            elif self.folder is None:
                raise why
            else:
                self._bad.append(why)

    def close(self) -> None:
        self.callbacks.close()


class _Folder:
    """Files of a modality by the names of their frames. EdgekitError where no file has the name of one of them."""

    def __init__(self, task: Task, folder: Path, beside: FrameSource):
        self.task, self.where = task, str(folder)
        self.files = sorted(f for f in folder.iterdir() if is_photograph(f, _SUFFIXES))
        self._files = {file.stem: file for file in self.files}
        if not self.files:
            raise EdgekitError(f"the folder has no file of '{task.name}'", where=str(folder), fix="give another")
        if not any(file.stem in self._files for file in beside.files):
            raise EdgekitError(
                f"no file of '{task.name}' has the name of a frame: {self.files[0].name}, {beside.files[0].name}",
                where=str(folder),
                fix="name files of one frame alike, but for their endings",
            )

    def of(self, shot: CapturedFrame) -> np.ndarray | None:
        file = self._files.get(shot.name)
        return None if file is None else read_modality(file, self.task)


class _Picture:
    """One file of a modality, beside one frame."""

    def __init__(self, task: Task, file: Path):
        self.task, self.where, self.files = task, str(file), [file]

    def of(self, shot: CapturedFrame) -> np.ndarray | None:
        return read_modality(self.files[0], self.task)


class _Film:
    """A film of a modality: of each frame beside it the picture nearest in time, so that films may differ in rate.

    Without times, as in a bare stream of H.264, frame goes beside frame. A frame that is farther from every picture
    than pictures are apart has none: the film began later or ended.
    """

    def __init__(self, task: Task, film: Video, beside: FrameSource):
        self.task, self.where, self.files = task, str(film.files[0]), film.files
        rates = [rate for rate in (film.rate, beside.rate) if rate]
        self._apart = 1 / min(rates) if rates else math.inf
        self._frames = iter(film)
        self._now: CapturedFrame | None = None
        self._next: CapturedFrame | None = None

    def of(self, shot: CapturedFrame) -> np.ndarray | None:
        frame = self._nearest(shot.at)
        return None if frame is None else of_picture(frame.rgb(), self.task, self.where)

    def _nearest(self, at: float | None) -> CapturedFrame | None:
        while True:
            if self._next is None:
                self._next = next(self._frames, None)
            if at is None or (self._next is not None and self._next.at is None):
                frame, self._next = self._next, None
                return frame
            if self._next is None or (self._now and abs(self._next.at - at) > abs(self._now.at - at)):
                return self._now if self._now and abs(self._now.at - at) <= self._apart else None
            self._now, self._next = self._next, None


def _open(task: Task, path: Path, beside: FrameSource, opened: ExitStack) -> _Folder | _Film | _Picture:
    if path.is_dir() and beside.folder is not None:
        return _Folder(task, path, beside)
    single = isinstance(beside, Photographs) and beside.folder is None
    if single and path.suffix.lower() in _SUFFIXES and path.is_file():
        return _Picture(task, path)
    if not path.is_dir() and beside.folder is None and not single and not beside.live:
        film = open_input(str(path))
        opened.callback(film.close)
        if isinstance(film, Video):
            return _Film(task, film, beside)
    raise EdgekitError(
        f"'{path}' does not go beside what --input names",
        where=f"--also {task.name}",
        fix="give folders for all, with files of the same names, films for all, or one picture for all",
    )


def _pace(task: Task, text: str) -> FrameSource:
    """The frames of the modality that sets the pace: of rgb what ``open_input`` takes, of others also files of maps."""
    path = Path(text)
    is_file = path.suffix.lower() in _SUFFIXES and path.is_file()
    if task.name != RGB.name and (is_file or path.is_dir()):
        return Photographs(path, partial(read_modality, task=task), _SUFFIXES)
    if task.name != RGB.name and native_type(task) != np.uint8:
        if not path.exists():
            fix = f"give a folder with a file for each frame, or one file, which ends in {', '.join(_SUFFIXES)}"
            raise EdgekitError("there is no such file or folder", where=text, fix=fix)
        raise _no_picture(task, text)
    return open_input(text)


def _no_picture(task: Task, where: str) -> EdgekitError:
    return EdgekitError(
        f"a picture does not hold '{task.name}', {task.channels} channel(s) from {task.range[0]:g} to "
        f"{task.range[1]:g}",
        where=where,
        fix="give an .npz for each frame" + (", or a picture of 16 bits" if task.channels == 1 else ""),
    )

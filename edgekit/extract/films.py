"""The films and photographs of a pipeline, and which of their frames are taken."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path

import numpy as np

from edgekit.data.folders import natural, resized_map
from edgekit.errors import EdgekitError
from edgekit.extract.config import ExtractConfig
from edgekit.frames.files import expand_home
from edgekit.frames.images import PHOTO_SUFFIXES, is_photograph, read_rgb
from edgekit.frames.names import component, plain
from edgekit.frames.source import CapturedFrame
from edgekit.frames.video import RECORDED_SUFFIXES, Video
from edgekit.tasks.modality import RGB

_SAMPLE = 1 << 20  # bytes at the beginning, middle and end of a film that tell it from another
_USUAL_RATE = 25.0  # of a film that states no times
_SLACK = 1e-3  # of a frame's place in time, which containers round


class Shot:
    """A frame that is taken: the name of its files, its place among those of its film, and its film's ``identity``.

    ``known_as``: its name to experts, whose predictions may lie in files of the photographs' names.
    ``rgb`` (H, W, 3) uint8, read when it is first asked for: EdgekitError where it cannot be. ``next`` is the next
    moment's, None for the last, and for photographs.
    """

    def __init__(
        self, name: str, place: int, identity: str, read: Callable[[], np.ndarray], known_as: str | None = None
    ):
        self.name, self.place, self.identity, self.known_as = name, place, identity, known_as or name
        self.next: Shot | None = None
        self._read = read

    def identity_with(self, following: bool) -> str:
        """What a map depends on: the file that it was read from, and where ``following`` also the next moment's."""
        if not following or self.next is None or self.next.identity == self.identity:
            return self.identity
        return f"{self.identity} {self.next.identity}"

    @cached_property
    def rgb(self) -> np.ndarray:
        rgb = self._read()
        del self._read  # and with it the frame at its full size
        return rgb


@dataclass
class Film:
    """A film, or a folder of photographs: ``name`` is unique in its pipeline, ``folder`` is the set's."""

    folder: str
    name: str
    path: Path
    photographs: list[Path] = field(default_factory=list)
    numbered: bool = False
    """Whether photographs are called by their number, as frames of films are."""

    def identity(self) -> str:
        """Changes when the film is another one: its size, and its beginning, middle and end."""
        size = self.path.stat().st_size
        digest = hashlib.sha256(str(size).encode())
        with open(self.path, "rb") as file:
            for start in sorted({0, max(0, size // 2 - _SAMPLE // 2), max(0, size - _SAMPLE)}):
                file.seek(start)
                digest.update(file.read(_SAMPLE))
        return digest.hexdigest()[:16]

    def expected(self, config: ExtractConfig) -> int | None:
        """How many frames will be taken, as far as the file tells."""
        if self.photographs:
            return sum(map(_chosen(config), range(len(self.photographs))))
        try:
            video = Video(self.path)
        except EdgekitError:  # reported when this film is read
            return None
        try:
            if video.count is None:
                return None
            if config.fps is not None:
                return min(video.count, round(video.seconds * config.fps)) if video.seconds else None
            return sum(map(_chosen(config), range(video.count)))
        finally:
            video.close()

    def shots(self, config: ExtractConfig) -> Iterator[Shot]:
        """The frames that are taken, in order, decoded once. EdgekitError where a film does not open or ends early."""
        shots = self._photos(config) if self.photographs else self._frames(config)
        if not self.is_sequence(config):
            yield from shots
            return
        before, ended = next(shots, None), None
        while before is not None:
            try:
                before.next = next(shots, None)
            except EdgekitError as error:  # the frames before the end are good
                ended = error
            yield before
            before = before.next
        if ended:
            raise ended

    def is_sequence(self, config: ExtractConfig) -> bool:
        """Whether neighbouring frames are neighbouring moments."""
        return not self.photographs if config.film is None else config.film

    def _frames(self, config: ExtractConfig) -> Iterator[Shot]:
        identity, place, due, chosen = self.identity(), 0, 0, _chosen(config)
        video = Video(self.path)
        rate = (config.fps and video.rate) or _USUAL_RATE
        try:
            for number, frame in enumerate(video):
                if config.frames is not None and number > max(config.frames):
                    break
                if config.fps is not None:
                    at = frame.at if frame.at is not None else number / rate
                    slot = int(at * config.fps + _SLACK)
                    if slot < due:
                        continue
                    due = slot + 1
                elif not chosen(number):
                    continue
                yield Shot(f"{self.name}_{number:06d}", place, identity, partial(_upright, frame, config.size))
                place += 1
        finally:
            video.close()

    def _photos(self, config: ExtractConfig) -> Iterator[Shot]:
        chosen = _chosen(config)
        taken = [path for number, path in enumerate(self.photographs) if chosen(number)]
        for place, path in enumerate(taken):
            about = path.stat()
            identity = f"{about.st_size}-{about.st_mtime_ns}"
            own = f"{self.name}_{plain(path.stem)}"
            name = f"{self.name}_{place:06d}" if self.numbered else own
            yield Shot(name, place, identity, partial(_photo, path, config.size), own)


def _upright(frame: CapturedFrame, size: tuple[int, int] | None) -> np.ndarray:
    return resized_map(RGB, np.ascontiguousarray(frame.rgb()), size)


def _photo(path: Path, size: tuple[int, int] | None) -> np.ndarray:
    return resized_map(RGB, read_rgb(path), size)


def find_films(config: ExtractConfig, base: Path, *, numbered: bool = False) -> list[Film]:
    """The pipeline's films, set by set, by name. EdgekitError for a path that holds none, and two of one name."""
    films: list[Film] = []
    for folder, paths in config.sets.items():
        for i, text in enumerate(paths):
            found = list(_films(folder, Path(base, expand_home(Path(text)))))
            if not found:
                raise EdgekitError(
                    f"there are no films or photographs in '{text}'",
                    where=f"extract.sets.{folder}.{i}",
                    fix=f"films end in {', '.join(RECORDED_SUFFIXES)}, photographs in {', '.join(PHOTO_SUFFIXES)}; "
                    "the path is relative to the pipeline's own folder",
                )
            films += sorted(found, key=lambda film: natural(film.name))
    by_name: dict[str, Film] = {}
    for film in films:
        other = by_name.setdefault(film.name, film)
        if other is not film:
            raise EdgekitError(
                f"two films would be called '{film.name}': {other.path} and {film.path}",
                where="extract.sets",
                fix="rename one of the two: the names of frames begin with their film's",
            )
        names = [plain(path.stem) for path in film.photographs]
        if len(set(names)) < len(names):
            twice = next(name for name in names if names.count(name) > 1)
            fix = "rename one: names differ by letters, digits and _.+- alone"
            raise EdgekitError(f"two photographs would be called '{twice}'", where=str(film.path), fix=fix)
        film.numbered = numbered
    return films


def _films(folder: str, path: Path) -> Iterator[Film]:
    if path.is_file() and not is_photograph(path):
        yield Film(folder, _name(path.stem), path)
    elif path.is_dir():
        inside = sorted(path.iterdir(), key=lambda p: natural(p.name))
        if photographs := [p for p in inside if p.is_file() and is_photograph(p)]:
            yield Film(folder, _name(path.resolve().name), path, photographs)
        for p in inside:
            if p.is_file() and p.suffix.lower() in RECORDED_SUFFIXES:
                yield Film(folder, _name(p.stem), p)
            elif p.is_dir() and not p.name.startswith("."):
                yield from _films(folder, p)


def _name(text: str) -> str:
    """A film's name: it begins with a letter and has no ``_``, which parts it from the frame's."""
    name = plain(text).replace("_", "-")
    return component(name if name[0].isalpha() else f"film-{name}", what="the film", where=text)


def _chosen(config: ExtractConfig) -> Callable[[int], bool]:
    """Whether a frame of this number is taken, where numbers choose them."""
    if config.frames is not None:
        return frozenset(config.frames).__contains__
    return lambda number: number % config.every == 0

"""The source behind ``dronescapes``."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from edgekit.data.dronescapes.config import DronescapesConfig
from edgekit.data.dronescapes.description import Description, read_description
from edgekit.data.dronescapes.files import read_map
from edgekit.data.dronescapes.listing import Places, file_of, list_set
from edgekit.data.dronescapes.published import LABELS, published_task
from edgekit.data.folders import hash_files, natural, required_scene, resized_map, root_folder
from edgekit.data.source import FrameInfo
from edgekit.errors import EdgekitError
from edgekit.tasks import Task

USUAL_SETS = {"train": ("train_set", "semisupervised_set"), "val": ("validation_set",), "test": ("test_set",)}
ANNOTATED = "_annotated_only"


class Dronescapes:
    """Frames of a `DronescapesConfig`; each kind says how its maps lie in a file, by ``from_disk`` and ``to_disk``.

    A frame is the union of the files of one name over the tasks; a task it lacks is absent. ``base`` is the folder the
    recipe lies in; ``cache`` is unused, since the files are read as they are.

    Frames are listed by file names; no file is opened before it is read.
    Raises EdgekitError for a root, set, folder or scene expression that does not fit what is there.
    """

    def __init__(self, config: DronescapesConfig, base: Path, cache: Path | None = None):
        self._root = root_folder(config.root, base)
        self._config = config
        described = read_description(self._root) or Description()
        splits = self._splits()
        self._sets = {name: list_set(self._root / name) for sets in splits.values() for name in sets}
        self.tasks = self._tasks(described)
        self.sequential = config.film if config.film is not None else described.film is not False
        known = config.labels if config.labels is not None else described.labels
        self._labels = frozenset(LABELS if known is None else known)
        self._check_named("data.labels", config.labels or ())
        self._where: dict[str, tuple[str, str]] = {}  # frame -> (set, name of its files)
        self._frames = self._infos(splits, described.scenes)
        self._fingerprint: str | None = None

    def splits(self) -> tuple[str, ...]:
        return tuple(self._frames)

    def frames(self, split: str) -> list[FrameInfo]:
        """The frames of a split, set by set, in natural order of their names. KeyError for an unknown split."""
        return list(self._frames[split])

    def read(self, frame: FrameInfo, names: Iterable[str]) -> dict[str, np.ndarray]:
        """Native maps; a task without a file for the frame is left out, and so are labels of an unlabelled set.

        Thread-safe. EdgekitError naming the file that is damaged or does not fit its task.
        """
        folder, stem = self._where[frame.name]
        maps = {}
        for name in names:
            place = self._sets[folder].get(name, {}).get(stem)
            task = self.tasks.get(name)
            if place is None or task is None or (name in self._labels and folder in self._config.unlabelled):
                continue
            path = self._path(folder, name, place, stem)
            maps[name] = resized_map(task, read_map(task, path), self._config.size)
        return maps

    def fingerprint(self) -> str:
        """SHA-256 over every file's name, size and time of change, and what is known of the tasks and frames."""
        if self._fingerprint is None:
            files = (
                (f"{folder}/{name}/{place}/{stem}", self._path(folder, name, place, stem))
                for folder, tasks in sorted(self._sets.items())
                for name, places in tasks.items()
                for stem, place in sorted(places.items())
            )
            self._fingerprint = hash_files((self.tasks, sorted(self._labels), self._frames), files)
        return self._fingerprint

    def flow(self, frame: FrameInfo) -> np.ndarray | None:
        """None: published flow is an expert's guess, not exact."""
        return None

    def why_not(self, name: str) -> str | None:
        """Why a folder of this name is not a task; None where there is no such folder."""
        if not any(name in tasks for tasks in self._sets.values()):
            return None
        return f"there is a folder '{name}'; say what it holds: data.tasks: {{{name}: {{kind: …}}}}"

    def _path(self, folder: str, task: str, place: str, stem: str) -> str:
        return file_of(os.path.join(self._root, folder, task), place, stem)

    def _splits(self) -> dict[str, list[str]]:
        wanted = self._config.splits
        if wanted is not None:
            for split, sets in wanted.items():
                for name in sets:
                    if not (self._root / name).is_dir():
                        there = sorted(p.name for p in self._root.iterdir() if p.is_dir())
                        raise EdgekitError(
                            f"the set '{name}' does not exist",
                            where=f"data.splits.{split}: {self._root}",
                            fix=f"use {', '.join(there) or 'another root: it has no folders'}",
                        )
            return wanted
        found = {split: [s for name in sets if (s := self._present(name))] for split, sets in USUAL_SETS.items()}
        found = {split: sets for split, sets in found.items() if sets}
        if not found:
            raise EdgekitError(
                "none of the sets train_set, validation_set, semisupervised_set, test_set is there",
                where=str(self._root),
                fix="data.root is the folder above them; name other sets with data.splits: {train: [NAME]}",
            )
        return found

    def _present(self, name: str) -> str | None:
        return next((n for n in (name, name + ANNOTATED) if (self._root / n).is_dir()), None)

    def _tasks(self, described: Description) -> dict[str, Task]:
        """Tasks by folder: what the recipe says, else the description beside the data, else the published names."""
        self._check_named("data.tasks", self._config.tasks)
        folders = sorted({name for tasks in self._sets.values() for name in tasks})
        tasks = {}
        for name in folders:
            own = self._config.tasks.get(name)
            task = own.task(name) if own else described.tasks.get(name) or published_task(name)
            if task is not None:
                tasks[name] = task
        if "rgb" not in tasks:
            raise EdgekitError(
                "there are no rgb frames, and every frame has to have rgb",
                where=", ".join(str(self._root / name) for name in self._sets),
                fix="put them in the folder rgb of each set",
            )
        return tasks

    def _check_named(self, key: str, names: Iterable[str]) -> None:
        folders = sorted({name for tasks in self._sets.values() for name in tasks})
        for name in names:
            if name not in folders:
                raise EdgekitError(
                    f"no set has the folder '{name}'", where=key, fix=f"there are {', '.join(folders) or 'none'}"
                )

    def _infos(self, splits: Mapping[str, list[str]], scenes: Mapping[str, str]) -> dict[str, list[FrameInfo]]:
        stems = {name: _frames_of(self._sets[name], self.tasks) for sets in splits.values() for name in sets}
        in_splits = {split: [(s, name) for name in sets for s in stems[name]] for split, sets in splits.items()}
        owns = {split: _own_names(frames) for split, frames in in_splits.items()}
        counted = [own for split in owns.values() for own in split]
        repeated = len(set(counted)) < len(counted)
        infos = {}
        for split, frames in in_splits.items():
            seen: dict[str, str] = {}
            numbers = _Numbers()
            infos[split] = []
            for (stem, folder), own in zip(frames, owns[split], strict=True):
                if own in seen:
                    raise EdgekitError(
                        f"the frame '{stem}' is in the sets {seen[own]} and {folder} of one split",
                        where=f"data.splits.{split}",
                        fix="keep one of the two sets",
                    )
                seen[own] = folder
                name = f"{split}-{own}" if repeated else own
                scene = scenes.get(stem) or self._scene(stem, folder, told_apart=own != stem)
                infos[split].append(
                    FrameInfo(name, scene, numbers.next(scene, stem, folder), split, self._is_labelled(folder, stem))
                )
                self._where[name] = (folder, stem)
        return infos

    def _scene(self, stem: str, folder: str, *, told_apart: bool) -> str:
        """Of mere numbers, which say nothing of a film, the set; unless the recipe has an expression for them."""
        numbered = stem.isdecimal() and "scene_regex" not in self._config.model_fields_set
        return folder if told_apart or numbered else required_scene(self._config.scene_regex, stem)

    def _is_labelled(self, folder: str, stem: str) -> bool:
        tasks = self._sets[folder]
        return folder not in self._config.unlabelled and any(stem in tasks.get(name, ()) for name in self._labels)


def _own_names(frames: Sequence[tuple[str, str]]) -> list[str]:
    """Names of the frames (stem, set) of a split: the stems, but for mere numbers that several sets have.

    So does a program that numbers the frames of each film from 0, in a folder of its own: these are told apart by it.
    """
    numbers = [stem for stem, _ in frames if stem.isdecimal()]
    alike = len(set(numbers)) < len(numbers)
    return [f"{folder}_{stem}" if alike and stem.isdecimal() else stem for stem, folder in frames]


class _Numbers:
    """Numbers frames within their scene so that consecutive numbers are consecutive frames of a film.

    The film and the frame number come from the name: ``barsana_DJI_0500_12`` is frame 12 of ``barsana_DJI_0500_``.
    """

    def __init__(self) -> None:
        self._last: dict[str, tuple[tuple[str, str], int, int]] = {}  # scene -> (film, frame number, index)

    def next(self, scene: str, stem: str, folder: str) -> int:
        prefix, digits = re.fullmatch(r"(.*?)([0-9]*)", stem, re.DOTALL).groups()
        film, number = (folder, prefix), int(digits or 0)
        last = self._last.get(scene)
        if last is None:
            index = number
        elif last[0] == film and number > last[1]:
            index = last[2] + number - last[1]
        else:
            index = last[2] + 2  # a gap: the first frame of one film does not follow the last of another
        self._last[scene] = (film, number, index)
        return index


def _frames_of(tasks: Mapping[str, Places], known: Mapping[str, Task]) -> list[str]:
    """The frames of a set: every name that some known task has."""
    return sorted({stem for name, places in tasks.items() if name in known for stem in places}, key=natural)

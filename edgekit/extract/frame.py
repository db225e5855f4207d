"""The maps of one frame: read where they lie, made where they are missing."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping

import numpy as np

from edgekit.data.dronescapes.files import read_map
from edgekit.data.modalities import COMPUTED
from edgekit.data.source import FrameInfo
from edgekit.errors import EdgekitError
from edgekit.extract.files import Tree, key_in, key_of
from edgekit.extract.films import Film, Shot
from edgekit.extract.plan import Step
from edgekit.tasks import kind_of


class Missing(Exception):
    """A map that this frame lacks, and so do those that need it."""


class Frame:
    """A shot, and what is known of its maps. Each is made once, from the maps that it needs."""

    def __init__(self, tree: Tree, film: Film, shot: Shot, steps: Mapping[str, Step]):
        self.film, self.shot = film, shot
        self.info = FrameInfo(shot.known_as, film.name, shot.place, film.folder, labelled=False)
        self.lost = False  # it cannot be read: then none of its maps is tried
        self.new: dict[str, np.ndarray] = {}
        """What is to be written, as its file will hold it."""
        self.damaged: dict[str, str] = {}
        """Maps whose files were found damaged, and removed."""
        self._tree, self._steps = tree, steps
        self._native: dict[str, np.ndarray] = {}

    def key(self, name: str) -> str:
        """Of a map's file: all that it depends on, and the film."""
        step = self._steps[name]
        return key_of(step.key, self.shot.identity_with(step.following), *step.key_of_film(self.film.name))

    def path(self, name: str) -> str:
        return self._tree.file(self.film.folder, name, self.shot.name)

    def is_done(self, name: str) -> bool:
        return key_in(self.path(name)) == self.key(name)

    def keep(self, name: str, native: np.ndarray) -> None:
        """Take a map that was made, to be written. EdgekitError if the map does not fit its task."""
        step = self._steps[name]
        stored = step.to_disk(native, self.shot.name)
        if step.exact:  # dependent maps are computed from the stored, rounded values
            native = kind_of(step.task).from_disk(step.task, stored, self.shot.name) if name != "rgb" else native
        self.new[name], self._native[name] = stored, native

    def needs(self, step: Step) -> list[np.ndarray]:
        """The maps that a step needs, in its order, and for one that looks ahead those of the next frame too.

        Missing where one failed.
        """
        found = [self.native(name) for name in step.needs]
        if step.ahead:
            assert self.shot.next is not None
            found += [_of_rgb(self._steps.get(name), name, self.shot.next.rgb) for name in step.needs]
        return found

    def native(self, name: str) -> np.ndarray:
        """A map: from memory or its file, or from those that it is made of. Missing where it failed."""
        if name not in self._native:
            self._native[name] = self._found(name)
        return self._native[name]

    def made(self, step: Step) -> np.ndarray:
        """A map that no expert is needed for."""
        if step.derivation is not None:
            return step.derivation.compute(self.needs(step))
        return _of_rgb(step, step.name, self.shot.rgb)

    def _found(self, name: str) -> np.ndarray:
        step = self._steps.get(name)
        if name == "rgb" or step is None:
            return _of_rgb(step, name, self.shot.rgb)
        if step.exact and self.is_done(name):
            try:
                return read_map(step.task, self.path(name))
            except EdgekitError as error:  # complete but corrupt, and its expert has already run
                self.damaged[name] = f"{error.what}; it was removed, and the next run makes it again"
                os.unlink(self.path(name))
                raise Missing(name) from error
        if step.exact and (step.expert is not None or step.ahead):
            raise Missing(name)
        return self.made(step)


def _of_rgb(step: Step | None, name: str, rgb: np.ndarray) -> np.ndarray:
    if name == "rgb":
        return rgb
    compute: Callable = (step.computed if step is not None and step.computed else COMPUTED[name]).compute
    return compute(rgb)

"""A pipeline, opened: its maps in the order in which they can be made, and the key of each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel

from edgekit.data.derived.derivation import Derivation, Needs
from edgekit.data.derived.registry import DERIVATIONS
from edgekit.data.modalities import COMPUTED, Computed, with_computed
from edgekit.errors import EdgekitError, did_you_mean
from edgekit.extract.config import ComputedTask, ExpertTask, ExtractConfig
from edgekit.extract.files import key_of
from edgekit.tasks import Task, kind_of
from edgekit.tasks.modality import RGB
from edgekit.teachers.external.registry import EXTERNAL_MODELS
from edgekit.teachers.external.teacher import ExternalTeacher

_FORMAT = 1
"""Raised when what lies in the files changes: then all are made again."""


@dataclass
class Step:
    """One map of every frame: ``needs`` by name, ``key`` of all it depends on but the film and what lies on disk of it.

    One of ``expert`` (run ``batch`` frames at a time), ``derivation`` and ``computed``; none of them for rgb itself.
    """

    task: Task
    needs: tuple[str, ...]
    key: str
    expert: ExternalTeacher | None = None
    batch: int = 1
    derivation: Derivation | None = None
    computed: Computed | None = None
    following: bool = False
    """Whether it, or what it needs, was made of the next frame too."""
    on_disk: tuple[ExternalTeacher, ...] = ()
    """The experts whose predictions lie on disk, of it and of what it needs."""

    @property
    def name(self) -> str:
        return self.task.name

    @property
    def ahead(self) -> bool:
        """Whether it needs the next frame, and the last has none."""
        return self.derivation is not None and self.derivation.ahead

    @property
    def exact(self) -> bool:
        """Whether others are made from what its file holds, rather than from the map before it was rounded."""
        return self.expert is not None or self.name == "rgb" or kind_of(self.task).interpolation == "nearest"

    def key_of_film(self, film: str) -> list[Any]:
        """What its maps of a film depend on beside ``key`` and the film itself."""
        return [expert.model.key_of_film(film) for expert in self.on_disk]

    def to_disk(self, native: np.ndarray, where: str) -> np.ndarray:
        """As its file holds it: the depth of an expert whole, since geometry is derived from it."""
        kind = kind_of(self.task)
        kind.validate(self.task, native, where)
        if self.expert is not None and kind.geometric:
            return native.reshape(*native.shape[:2], -1)
        return kind.to_disk(self.task, native, where)


def open_plan(config: ExtractConfig, base: Path) -> dict[str, Step]:
    """The steps by name, rgb first, each behind what it needs.

    EdgekitError for a need that is no task, a circle, and whatever an expert or derived map refuses.
    """
    wanted = {name: _needs(name, section, config, base) for name, section in config.tasks.items()}
    for name, needs in wanted.items():
        for need in needs:
            if need != "rgb" and need not in wanted and need not in COMPUTED:
                known = ["rgb", *wanted, *COMPUTED]
                fix = did_you_mean(need, known) or f"there are {', '.join(known)}"
                raise EdgekitError(f"there is no map '{need}'", where=f"extract.tasks.{name}", fix=fix)
    try:
        order = list(
            TopologicalSorter({n: [m for m in needs if m in wanted] for n, needs in wanted.items()}).static_order()
        )
    except CycleError as error:
        circle = " -> ".join(error.args[1])
        raise EdgekitError(
            f"maps need each other in a circle: {circle}",
            where="extract.tasks",
            fix="take one of them out of what another needs",
        ) from None
    sampling = [config.every, config.fps, config.frames, config.film]
    steps = {"rgb": Step(RGB, (), key_of(_FORMAT, "rgb", config.size))}
    for name in order:
        steps[name] = _opened(name, config, base, steps)
        step = steps[name]
        below = [steps[need] for need in step.needs if need in steps]
        step.following = step.ahead or any(need.following for need in below)
        own = (step.expert,) if step.expert is not None and step.expert.model.stored else ()
        step.on_disk = own + tuple(dict.fromkeys(expert for need in below for expert in need.on_disk))
        if step.ahead:  # which frame is the next one
            step.key = key_of(step.key, sampling)
    return steps


def _needs(name: str, section: BaseModel, config: ExtractConfig, base: Path) -> list[str]:
    if isinstance(section, ComputedTask):
        return ["rgb"]
    if not isinstance(section, ExpertTask):
        return list(section.of)
    seen = EXTERNAL_MODELS[section.expert.kind].sees(section.expert, base, f"extract.tasks.{name}.expert")
    return [need for need, needed in seen.items() if needed or need in config.tasks]


def _opened(name: str, config: ExtractConfig, base: Path, steps: Mapping[str, Step]) -> Step:
    section, where = config.tasks[name], f"extract.tasks.{name}"
    known = with_computed({n: step.task for n, step in steps.items()})

    def key(needs: list[str], *parts: Any) -> str:
        below = [steps[n].key if n in steps else ["computed", n, COMPUTED[n].version, steps["rgb"].key] for n in needs]
        return key_of(_FORMAT, below, *parts)

    if isinstance(section, ComputedTask):
        computed = COMPUTED[section.computed]
        made = key(["rgb"], "computed", section.computed, computed.version)
        return Step(replace(computed.task, name=name), ("rgb",), made, computed=computed)
    if isinstance(section, ExpertTask):
        teacher = ExternalTeacher(section.opened_as(name), base, known, where)
        needs = list(dict.fromkeys(["rgb", *teacher.model.needs]))
        made = key(needs, teacher.section() if teacher.model.stored else teacher.key())
        return Step(teacher.tasks[name], tuple(needs), made, expert=teacher, batch=section.batch)
    kind = DERIVATIONS[section.derive]
    if kind.ahead and any(steps[need].computed is None for need in section.of if need in steps and need != "rgb"):
        what = "of the next frame only rgb and what is computed from it is known"
        raise EdgekitError(what, where=f"{where}.of", fix="of: rgb")
    derivation = kind(section, Needs([known[need] for need in section.of], config.camera, where))
    task = replace(derivation.task, name=name)
    camera = config.camera.model_dump() if kind.uses_camera else None
    made = key(section.of, section.model_dump(mode="json"), kind.version, camera)
    return Step(task, tuple(section.of), made, derivation=derivation)

"""A student that edgekit has exported: it knows its tasks, and sees a frame as it does on a device."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from edgekit.bundle.bundle import SHIPPED, Bundle, open_bundle, shipped_bundles
from edgekit.data.source import FrameInfo
from edgekit.errors import EdgekitError
from edgekit.frames.files import expand_home
from edgekit.heads import HEADS
from edgekit.runtime.load import load
from edgekit.tasks import Task
from edgekit.teachers.external.config import BundleConfig
from edgekit.teachers.external.model import ExternalModel, Setting, output_name


class ExportedStudent(ExternalModel):
    """One file of a bundle, on the CPU; answers are decisions: indices of classes, metres, unit normals.

    EdgekitError for what is no bundle, a precision that it lacks, a task that it does not have, and a modality that it
    sees and the data does not have.
    """

    Config = BundleConfig

    def __init__(self, config: BundleConfig, setting: Setting):
        bundle = _opened(config, setting.base, setting.where)
        tasks = {task.name: task for task in bundle.manifest.tasks}
        self._theirs = {
            name: tasks[output_name(tasks, output.output, name, f"{setting.where}.outputs.{name}")]
            for name, output in config.outputs.items()
        }
        seen = bundle.manifest.preprocessing.modalities
        may_lack = bundle.manifest.preprocessing.may_lack
        self.needs = [task.name for task in seen if task.name in setting.tasks or task.name not in may_lack]
        for name in self.needs:
            if name not in setting.tasks:
                raise EdgekitError(
                    f"the bundle's network sees '{name}', and the data has none",
                    where=setting.where,
                    fix="give a student of what there is, or make the modality first",
                )
        self._predictor = load(bundle, "onnxruntime", config.precision, outputs=[t.name for t in self._theirs.values()])
        ran = self._predictor.describe()["precision"]
        self._key = [hashlib.sha256(bundle.manifest.to_json().encode()).hexdigest(), ran]

    @classmethod
    def sees(cls, config: BundleConfig, base: Path, where: str) -> dict[str, bool]:
        seen = _opened(config, base, where).manifest.preprocessing
        return {task.name: task.name not in seen.may_lack for task in seen.modalities}

    def classes(self, task: str) -> Sequence[str] | None:
        return self._theirs[task].classes or None

    def task(self, name: str) -> Task:
        return replace(self._theirs[name], name=name)

    def default_form(self, task: Task) -> str:
        return HEADS[task.kind].native_answer or super().default_form(task)

    def key(self) -> Any:
        return self._key

    def raw(self, frame: FrameInfo, maps: Mapping[str, np.ndarray], size: tuple[int, int]) -> dict[str, Tensor]:
        found = self._predictor.infer({name: maps[name] for name in self.needs if name in maps})
        raw = {ours: found[theirs.name] for ours, theirs in self._theirs.items()}
        return {ours: torch.from_numpy(m.reshape(*m.shape[:2], -1)).permute(2, 0, 1)[None] for ours, m in raw.items()}


def _opened(config: BundleConfig, base: Path, where: str) -> Bundle:
    """Beside the recipe, else of edgekit's own; never what lies in the folder that the command was called in."""
    path = Path(base, expand_home(Path(config.bundle)))
    if not path.exists() and config.bundle in shipped_bundles():
        path = SHIPPED / config.bundle
    if not path.exists():
        own = " or ".join(shipped_bundles())
        fix = f"the path is relative to the recipe's own folder; or give {own}, which comes with edgekit"
        raise EdgekitError(f"there is no bundle '{config.bundle}'", where=f"{where}: {path}", fix=fix)
    return open_bundle(path)

"""Predictions that are stored on disk: ``<folder>/<output>/<frame>.npz``, key ``arr_0``."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from edgekit.data.dronescapes.files import read_array
from edgekit.data.dronescapes.listing import SUFFIX, file_of, list_frames
from edgekit.data.source import FrameInfo
from edgekit.errors import EdgekitError
from edgekit.frames.files import expand_home
from edgekit.heads import HEADS
from edgekit.tasks import Task
from edgekit.teachers.external.config import OutputConfig, PredictionsConfig
from edgekit.teachers.external.model import ExternalModel, Setting, as_tensor


class Predictions(ExternalModel):
    """Maps (H, W) or (H, W, C), or (C, H, W) with ``layout: channels_first``; a frame's ``/`` is ``_`` in file names.

    Integers are class indices whatever the form; floats are probabilities, metres or 0-1, and stored normals, unless
    the recipe says otherwise.
    """

    Config = PredictionsConfig
    stored = True

    def __init__(self, config: PredictionsConfig, setting: Setting):
        self._config = config
        self._where = setting.where
        # task -> frame -> file
        self._keys: dict[str, str] = {}  # film -> what is known of its files
        self._files = {t: self._find(setting, t, output.output or t) for t, output in config.outputs.items()}

    def _find(self, setting: Setting, task: str, name: str) -> dict[str, str]:
        found: dict[str, str] = {}
        tried = []
        for given in self._config.folders:
            folder = Path(setting.base, expand_home(given), name)
            tried.append(str(folder))
            if folder.is_dir():
                for stem, place in list_frames(folder).items():
                    found.setdefault(stem, file_of(folder, place, stem))
        if not found:
            raise EdgekitError(
                f"there are no predictions of '{task}'",
                where=f"{self._where}.folders: {', '.join(tried)}",
                fix="a folder holds <output>/<frame>.npz; the path is relative to the recipe's own folder",
            )
        return found

    def default_form(self, task: Task) -> str:
        return HEADS[task.kind].stored_answer or super().default_form(task)

    def key(self) -> Any:
        """Names, sizes and times of change of all files."""
        return self.key_of_film("")

    def key_of_film(self, film: str) -> str:
        if film not in self._keys:
            self._keys[film] = self._digest(f"{film}_" if film else "")
        return self._keys[film]

    def _digest(self, prefix: str) -> str:
        digest = hashlib.sha256()
        for task, files in sorted(self._files.items()):
            for stem, path in sorted(files.items()):
                if stem.startswith(prefix):
                    facts = os.stat(path)
                    digest.update(f"{task}\0{stem}\0{facts.st_size}\0{facts.st_mtime_ns}\n".encode())
        return digest.hexdigest()

    def lacks(self, frame: FrameInfo) -> bool:
        return any(_stem(frame) not in files for files in self._files.values())

    def raw(self, frame: FrameInfo, maps: Mapping[str, np.ndarray], size: tuple[int, int]) -> dict[str, Tensor] | None:
        stem = _stem(frame)
        missing = [task for task, files in self._files.items() if stem not in files]
        if missing and (self._config.missing == "skip" or self._config.role == "modality"):
            return None
        if missing:
            raise EdgekitError(
                f"there is no prediction of '{missing[0]}' for the frame '{frame.name}' ({stem}{SUFFIX})",
                where=f"{self._where}.folders",
                fix="add it, or leave such frames to the other teachers: missing: skip",
            )
        return {task: self._read(files[stem], self._config.outputs[task]) for task, files in self._files.items()}

    def _read(self, path: str, output: OutputConfig) -> Tensor:
        array = read_array(path)
        if array.ndim not in (2, 3) or array.dtype.kind not in "fuib":
            raise EdgekitError(
                f"the prediction is {array.dtype} of shape {array.shape}, not a map",
                where=path,
                fix="store numbers of shape (H, W), (H, W, C) or, with layout: channels_first, (C, H, W)",
            )
        channels_first = array.ndim == 3 and output.layout == "channels_first"
        return as_tensor(array.transpose(1, 2, 0) if channels_first else array)


def _stem(frame: FrameInfo) -> str:
    return frame.name.replace("/", "_")

"""TensorBoard's event files: `tensorboard --logdir runs` shows them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edgekit.errors import EdgekitError
from edgekit.frames.images import read_rgb
from edgekit.track.tracker import Tracker


class TensorBoard(Tracker):
    """A folder of events per series, so that the curves of one name lie in one plot."""

    def __init__(self, folder: Path, name: str):
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            fix = "pip install 'edgekit[track]'"
            raise EdgekitError(f"tensorboard cannot be imported: {error}", where="--track", fix=fix) from error
        self._new, self._folder = SummaryWriter, folder
        self._writers: dict[str, Any] = {}

    def scalars(self, series: str, step: int, values: Mapping[str, float]) -> None:
        writer = self._writer(series)
        for name, value in values.items():
            writer.add_scalar(name, value, step)
        writer.flush()

    def picture(self, name: str, path: Path) -> None:
        self._writer("pictures").add_image(name, read_rgb(path), dataformats="HWC")

    def close(self) -> None:
        for writer in self._writers.values():
            writer.close()

    def _writer(self, series: str) -> Any:
        series = series.replace("/", " of ")  # a folder: "teacher 1/2"
        if series not in self._writers:
            self._writers[series] = self._new(str(self._folder / series))
        return self._writers[series]

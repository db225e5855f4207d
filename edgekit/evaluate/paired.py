"""By how much one model is better than another on the same frames, with a standard error."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from edgekit.data.frameset import FrameSet
from edgekit.data.source import FrameInfo
from edgekit.evaluate.score import Predict, primary_metric
from edgekit.tasks import Meter, Task, kind_of
from edgekit.tasks.metric import jackknife_error

GROUPS = 10


@dataclass(frozen=True)
class Paired:
    """The primary metric of one task for several models on the same frames.

    ``scores``: model → value over all frames, None where it is undefined. ``without``: model → the value without each
    of the groups that the frames are divided into.
    """

    task: Task
    scores: Mapping[str, float | None]
    without: Mapping[str, Sequence[float | None]]

    def difference(self, better: str, worse: str) -> tuple[float, float] | None:
        """By how much ``better`` beats ``worse`` (positive: it does, whatever the metric's direction), and the standard
        error of that by the delete-a-group jackknife. None where a value is undefined."""
        pairs = [(self.scores[better], self.scores[worse])]
        pairs += zip(self.without[better], self.without[worse], strict=True)
        if any(value is None for pair in pairs for value in pair):
            return None
        sign = 1.0 if kind_of(self.task).primary.higher_is_better else -1.0
        whole, *parts = [sign * (a - b) for a, b in pairs]
        return whole, jackknife_error(parts)


def paired(
    models: Mapping[str, Predict],
    frames: FrameSet,
    infos: Sequence[FrameInfo],
    task: Task,
    *,
    progress: Callable[[int], None] = lambda done: None,
) -> Paired:
    """Ask every model about every frame once. At least two frames.

    Groups are runs of neighbours: frames of a film in a row say nearly the same, and spread over all groups they would
    make the error too small.
    """
    count = min(GROUPS, len(infos))
    kind = kind_of(task)
    meters: dict[str, list[Meter]] = {name: [kind.meter(task) for _ in range(count + 1)] for name in models}
    done = 0
    for i, frame in enumerate(infos):
        maps = frames.read(frame, ["rgb", task.name])
        size = maps["rgb"].shape[:2]
        for name, predict in models.items():
            predicted = predict(frame, size)[task.name]
            for group, meter in enumerate(meters[name]):
                if group != i * count // len(infos) and task.name in maps:
                    meter.update(predicted, maps[task.name], frame.scene)
            done += 1
            progress(done)
    found = {n: [primary_metric(task, {task.name: m.result()}) for m in of_model] for n, of_model in meters.items()}
    return Paired(task, {n: v[-1] for n, v in found.items()}, {n: v[:-1] for n, v in found.items()})

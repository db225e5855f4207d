"""Chosen frames beside evenly spaced and random ones: as the labels of a recipe, and as what it distils on.

    python benchmarks/select_frames.py --coverage            # what the labels of the chosen frames hold; trains nothing
    nohup python benchmarks/select_frames.py > select_frames.log 2>&1 &    # days; the same command goes on after a kill
    python benchmarks/select_frames.py --recipes camvid --draws 1 --parts labels    # a part of it

Of all labels of `train` those of a row's frames alone are read. `labels`: --count labelled frames, the others
unlabelled. `half`: --count evenly spaced labelled ones for every row, and half of the other frames to distil on. Each
draw has a seed of its own; evenly spaced rows begin elsewhere, the chosen ones are the same. Nothing is predicted when
frames are chosen, so relevance does not count. Scores are mIoU on `val`.

What chosen frames make of INT8: `edgekit data select RUN --count 64 --out LIST`, `edgekit export RUN
--calibration-frames LIST` and with 64 instead of LIST, and `python benchmarks/int8_accuracy.py BUNDLE BUNDLE`.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import mean

import numpy as np
from results import provenance, table, write_section
from variants import QUICK, REPOSITORY, TASK, Comparison, finished, paired, photographs, spread

from edgekit.data.frameset import FrameSet
from edgekit.data.select.choose import choose
from edgekit.data.select.measure import CandidateFrame, Measured, measure
from edgekit.frames.files import write_text
from edgekit.pipeline.workbench import open_data
from edgekit.recipe.load import load_recipe
from edgekit.recipe.schema import Recipe

RECIPES = ("semantic_drone", "camvid")
PARTS = ("labels", "half")
ROWS = ("chosen", "evenly spaced", "random")

GAIN = 2.0  # points of the student with chosen labels over evenly spaced ones

Draw = Callable[[str, int], list[int]]
"""(row, draw) -> places of frames among those of train."""


class Frames:
    """The train frames of a recipe, all labelled, measured once."""

    def __init__(self, recipe: Path, data: Path):
        config = load_recipe(Recipe, recipe, [f"data.root={data}", "data.labelled=all"])
        self.frames = FrameSet(open_data(config, recipe.parent))
        infos = {f.name: f for f in self.frames.frames("train")}
        readers = [
            CandidateFrame(f.name, f.scene, lambda f=f: self.frames.read(f, ["rgb"])["rgb"]) for f in infos.values()
        ]
        self.measured: Measured = measure(readers)
        self.infos = [infos[frame.name] for frame in self.measured.frames]

    def names(self, places: Sequence[int]) -> list[str]:
        return [self.infos[i].name for i in places]

    def draw(self, row: str, count: int, draw: int, draws: int, kept: Sequence[int] = ()) -> list[int]:
        """``count`` frames beside ``kept`` by a row's rule, in the order of names."""
        others = np.setdiff1d(np.arange(len(self.infos)), kept)
        if row == "chosen":
            return sorted(choose(self.measured, count, kept=kept).choice.order)
        if row == "random":
            return sorted(np.random.default_rng(draw).choice(others, count, replace=False).tolist())
        return [int(others[int((i + (draw + 0.5) / draws) * len(others) / count)]) for i in range(count)]

    def shares(self) -> np.ndarray:
        """(n, C): each class's share of a frame's labelled pixels."""
        classes = len(self.frames.tasks[TASK].classes)
        counts = [np.bincount(self.frames.read(f, [TASK])[TASK].ravel(), minlength=256)[:classes] for f in self.infos]
        return np.array([c / max(1, c.sum()) for c in counts])


def coverage(frames: Frames, draw: Draw, draws: int) -> list[list[str]]:
    """A table's rows: what the labels of each row's frames hold."""
    shares = frames.shares()
    total = shares.mean(axis=0)
    rare = np.argsort(total)[: max(1, len(total) // 3)]
    rows = []
    for row in ROWS:
        found = [shares[draw(row, d)] for d in range(1 if row == "chosen" else draws)]
        rows.append(
            [
                row,
                spread([100 * s[:, rare].sum(axis=1).mean() for s in found]),
                spread([(s > 0).sum(axis=1).mean() for s in found]),
                spread([int((s > 0).sum(axis=0).min()) for s in found]),
                # how far the shares of classes in a frame are from those in the most similar listed one
                spread([50 * np.abs(shares[:, None] - s[None]).sum(-1).min(axis=1).mean() for s in found]),
            ]
        )
    return rows


COVERAGE = [
    "frames",
    "pixels of rare classes %",
    "classes a frame",
    "frames with the rarest class",
    "unlike the nearest %",
]

Scores = dict[str, dict[str, list[float]]]
"""Row -> ensemble or student -> mIoU in percent, one per draw."""


def train(comparison: Comparison, frames: Frames, part: str, count: int, draws: int) -> Scores:
    """Scores of a part. What is done is not done again."""
    found: Scores = {row: {"ensemble": [], "student": []} for row in ROWS}
    lists = comparison.root / "lists" / comparison.recipe.stem / part
    for d in range(draws):
        for row in ROWS:
            place = lists / f"{row.replace(' ', '-')}-{d}"
            labelled = frames.draw(row if part == "labels" else "evenly spaced", count, d, draws)
            changes = [f"seed={d}", f"data.labelled={_list(place, 'labelled', frames.names(labelled))}"]
            if part == "half":
                more = frames.draw(row, (len(frames.infos) - count) // 2, d, draws, labelled)
                kept = _list(place, "train", frames.names(sorted(labelled + more)))
                train, val = ({"images": f"{s}/images", "labels": f"{s}/labels"} for s in ("train", "val"))
                changes.append(f"data.splits={json.dumps({'train': train | {'list': str(kept)}, 'val': val})}")
            scored = comparison.run(["ensemble", "student"], *changes)
            for name, values in found[row].items():
                values.append(scored.miou(name))
    return found


def _list(place: Path, name: str, names: Sequence[str]) -> Path:
    return write_text(place.with_name(f"{place.name}-{name}.txt"), "".join(f"{n}\n" for n in names)).resolve()


def markdown(measured: Mapping[str, Mapping[str, Scores]], count: int) -> str:
    parts = [provenance(["torch"])]
    for recipe, by_part in measured.items():
        for part, found in by_part.items():
            even, rows = found["evenly spaced"]["student"], []
            for row, values in found.items():
                gains = [own - other for own, other in zip(values["student"], even, strict=True)]
                rows.append([row, spread(values["ensemble"]), spread(values["student"]), paired(gains)])
            header = ["frames", "teachers, mIoU %", "student, mIoU %", "over evenly spaced, paired"]
            gain = mean(found["chosen"]["student"]) - mean(even)
            what = f"{count} labels" if part == "labels" else "distilled on half of the unlabelled frames"
            told = f"Choosing brings the student {gain:+.2f} points"
            if part == "labels":
                told += f" (goal {GAIN:+g}): {'holds' if gain >= GAIN else '**does not hold**'}"
            parts += [f"**{recipe}, {what}**", table(header, rows), f"{told}."]
    return "\n\n".join(parts)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=70, help="labelled frames (default 70)")
    parser.add_argument("--draws", type=int, default=5, help="default 5")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS), help="default both")
    parser.add_argument("--recipes", nargs="+", default=list(RECIPES), help="names or files (default both)")
    data = REPOSITORY.parent / "shared" / "data"
    parser.add_argument("--data", type=Path, default=data, help="folder that holds semantic_drone and camvid")
    parser.add_argument("--out", type=Path, default=REPOSITORY / "runs" / "select_frames", help="folder of its stages")
    parser.add_argument("--coverage", action="store_true", help="only what the labels of the frames hold")
    parser.add_argument("--quick", action="store_true", help="a few steps, to see that it runs; writes no results")
    parser.add_argument("--write", action="store_true", help="put the tables into RESULTS.md")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    given = parser.parse_args()
    measured: dict = {}
    for name in given.recipes:
        recipe = Path(name) if name.endswith(".yaml") else REPOSITORY / "recipes" / f"{name}.yaml"
        folder = photographs(given.data / recipe.stem)
        frames = Frames(recipe, folder)
        if given.coverage:
            draw = lambda row, d, f=frames: f.draw(row, given.count, d, given.draws)  # noqa: E731
            measured[recipe.stem] = coverage(frames, draw, given.draws)
            continue
        out = given.out / "quick" if given.quick else given.out
        comparison = Comparison(out, folder, QUICK if given.quick else (), recipe)
        parts = {part: train(comparison, frames, part, given.count, given.draws) for part in given.parts}
        measured[recipe.stem] = parts
    if given.coverage:
        tables = [f"**{name}, {given.count} frames**\n\n" + table(COVERAGE, rows) for name, rows in measured.items()]
        text, title = "\n\n".join([provenance(), *tables]), "What the labels of chosen frames hold"
    else:
        text, title = markdown(measured, given.count), "Which frames to label?"
    if given.write and not given.quick:
        write_section(title, text)
    print(json.dumps(measured) if given.json else text)


if __name__ == "__main__":
    finished(main)

"""How long Dronescapes' derived maps take: examples/dronescapes/pipeline.yaml on frames of 540×960, one thread.

    python benchmarks/derived_maps.py [--frames 5] [--write]

Segmentations of blobs and a depth of hills stand for the experts' maps; reading and writing are not timed. With --write
the figures go into RESULTS.md.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np
from results import provenance, table, write_section

from edgekit.extract.config import Pipeline
from edgekit.extract.plan import Step, open_plan
from edgekit.frames.images import write_png
from edgekit.recipe.load import load_recipe

PIPELINE = Path(__file__).parents[1] / "examples" / "dronescapes" / "pipeline.yaml"
SIZE = (540, 960)
GOAL = 3.0  # frames a second
VRE_NORMALS = (8.0, 12.0)  # seconds a frame, as was seen once with release 1.18


def smooth(rng: np.random.Generator, size: tuple[int, int]) -> np.ndarray:
    """Hills between 0 and 1, (H, W) float32."""
    noise = cv2.resize(rng.random((9, 16), dtype=np.float32), size[::-1], interpolation=cv2.INTER_CUBIC)
    return np.clip(noise, 0, 1)


def said(step: Step, rng: np.random.Generator, size: tuple[int, int]) -> np.ndarray:
    """A map that an expert could have given."""
    if not step.task.classes:
        return smooth(rng, size)
    return (smooth(rng, size) * (len(step.task.classes) - 1)).round().astype(np.uint8)


def opened(folder: Path) -> dict[str, Step]:
    """The pipeline's steps; one frame and its predictions lie in ``folder``, so that its experts find theirs."""
    (folder / "pipeline.yaml").write_text(PIPELINE.read_text())
    write_png(folder / "films" / "f0.png", np.zeros((8, 8, 3), np.uint8))
    config = load_recipe(Pipeline, folder / "pipeline.yaml").extract
    for name, section in config.tasks.items():
        if hasattr(section, "expert"):
            (folder / "predicted" / name).mkdir(parents=True)
            np.savez(folder / "predicted" / name / "f0.npz", np.zeros((8, 8), np.uint8))
    return open_plan(config, folder)


def measure(frames: int, size: tuple[int, int] = SIZE) -> dict[str, float]:
    """Derived map → median milliseconds of a frame."""
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        return _measured(frames, size)
    finally:
        cv2.setNumThreads(threads)


def _measured(frames: int, size: tuple[int, int]) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder:
        steps = opened(Path(folder))
    taken: dict[str, list[float]] = {name: [] for name, step in steps.items() if step.derivation}
    for frame in range(frames + 1):
        rng, maps = np.random.default_rng(frame), {}
        for name, step in steps.items():
            if step.derivation is None:
                maps[name] = said(step, rng, size) if step.expert else None
                continue
            began = time.perf_counter()
            maps[name] = step.derivation.compute([maps[need] for need in step.needs])
            taken[name].append(1000 * (time.perf_counter() - began))
    return {name: statistics.median(times[1:]) for name, times in taken.items()}  # the first frame is a warm-up


def markdown(found: dict[str, float]) -> str:
    total = sum(found.values())
    normals = next(ms for name, ms in found.items() if name.startswith("normals"))
    rows = [[name, f"{ms:.1f}"] for name, ms in found.items()] + [["all", f"{total:.1f}"]]
    held = {True: "holds", False: "**does not hold**"}
    rate = 1000 / total
    return "\n\n".join(
        [
            provenance(["opencv-python-headless"]),
            table([f"derived map at {SIZE[0]}×{SIZE[1]}", "ms a frame"], rows),
            f"- {held[rate >= GOAL]}: {rate:.1f} frames a second of one core (goal {GOAL:g})\n"
            f"- normals take {normals:.0f} ms; video-representations-extractor was seen to take {VRE_NORMALS[0]:g} to "
            f"{VRE_NORMALS[1]:g} s on another machine",
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=5)
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    text = markdown(measure(options.frames))
    print(text)
    if options.write:
        write_section("Derived maps", text)


if __name__ == "__main__":
    main()

"""What `edgekit data extract` spends beside its maps: on knowing what is there, and on sharing work between processes.

    python benchmarks/extract_speed.py [--frames 12000] [--write]

A film of small frames with fourteen tasks is extracted once; then the same command finds all done, and `status` looks
at the folder. Memory is the peak of both commands; to see whether it grows, a quarter of the frames is done first.
A film of 540×960 is extracted by one process, and by two with a half each, every process on a core of its own: their
ratio means something on idle cores alone.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from results import provenance, table, write_section

from edgekit.frames.video import VideoWriter

SECTION = "Bookkeeping of edgekit data extract"
GOAL_MS, GOAL_RATIO = 1.0, 1.7
GOAL_GROWTH, GOAL_STATUS = 0.1, 10.0  # of memory from a quarter of the frames to all, as a share; seconds
TASKS = """
  tasks:
    hsv: {computed: hsv}
    seg:
      expert: {kind: onnx, file: seg.onnx, inputs: [{std: [255]}]}
      output: {form: logits, task: &of {kind: semantic, classes: [a, b, c]}}
      batch: 16
    again: {expert: {kind: onnx, file: seg.onnx, inputs: [{std: [255]}]}, output: {form: logits, task: *of}, batch: 16}
    depth: {expert: {kind: onnx, file: depth.onnx, inputs: [{std: [255]}]}, output: {task: {kind: depth}}, batch: 16}
    flow: {derive: flow_dis, of: rgb}
    normals: {derive: plane_normals, of: depth, window: 5}
    voted: {derive: vote, of: [seg, again], members: {seg: [a], again: [a, b]}, least: 1}
    nearby: {derive: nearby, of: [voted, depth], within: 0.5}
    two: {derive: map_classes, of: seg, classes: {left: [a], right: []}, rest: right}
    three: {derive: map_classes, of: again, classes: {left: [b], right: []}, rest: right}
    most: {derive: majority, of: [seg, again]}
    unsure: {derive: disagreement, of: [seg, again]}
    landing: {derive: safe_landing, of: [normals, depth, voted]}
"""


def pipeline(folder: Path, frames: int, size: tuple[int, int]) -> Path:
    """A film, two networks of one convolution, and the pipeline over them, in ``folder``; the pipeline's file."""
    rng = np.random.default_rng(0)
    picture = rng.integers(0, 256, (*size, 3), dtype=np.uint8)
    with VideoWriter(folder / "film.mp4", 25) as film:
        for number in range(frames):
            film.write(np.roll(picture, number, axis=1))
    for name, channels, act in (("seg", 3, "Identity"), ("depth", 1, "Sigmoid")):
        weight = rng.normal(size=(channels, 3, 3, 3)).astype(np.float32)
        shapes = [
            helper.make_tensor_value_info(n, TensorProto.FLOAT, ["n", c, "h", "w"])
            for n, c in (("x", 3), ("y", channels))
        ]
        nodes = [helper.make_node("Conv", ["x", "w"], ["c"], pads=[1, 1, 1, 1]), helper.make_node(act, ["c"], ["y"])]
        graph = helper.make_graph(nodes, name, shapes[:1], shapes[1:], [numpy_helper.from_array(weight, "w")])
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
        onnx.save(model, folder / f"{name}.onnx")
    text = f"extract:\n  sets: {{train: [film.mp4]}}\n  size: [{size[0]}, {size[1]}]{TASKS}"
    (folder / "pipeline.yaml").write_text(text, encoding="utf-8")
    return folder / "pipeline.yaml"


def told(words: Sequence[object]) -> dict[str, float]:
    """A command in a process of its own: seconds of the clock and of the processor, peak memory in MiB."""
    began = time.perf_counter()
    child = subprocess.Popen([sys.executable, "-m", "edgekit", *map(str, words)], stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)  # wait4 has waited for it
    if child.returncode:
        sys.exit(f"edgekit {' '.join(map(str, words))} failed")
    clock = time.perf_counter() - began
    return {"clock": clock, "processor": used.ru_utime + used.ru_stime, "mib": used.ru_maxrss / 1024}


def bookkeeping(frames: int) -> dict[str, float]:
    """Of a folder in which all is done; milliseconds per frame are the slope from a quarter of ``frames`` to all."""
    found = []
    for count in (frames // 4, frames):
        with tempfile.TemporaryDirectory() as folder:
            written = pipeline(Path(folder), count, (32, 48))
            words = ["data", "extract", written, "--out", Path(folder) / "out"]
            first, again = told(words), told(words)
            found.append((first, again, told(["data", "status", Path(folder) / "out", "--json"])))
    (_, quarter, _), (first, again, status) = found
    per_frame = (again["processor"] - quarter["processor"]) / (frames - frames // 4)
    return {
        "frames": frames,
        "first_ms_per_frame": 1000 * first["processor"] / frames,
        "again_ms_per_frame": 1000 * per_frame,
        "status_seconds": status["clock"],
        "quarter_mib": max(command["mib"] for command in found[0][:2]),
        "mib": max(first["mib"], again["mib"]),
    }


def sharing(frames: int) -> dict[str, float]:
    """Seconds that one process takes for all frames, and two at once for half of them each; each keeps to one core."""
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        sys.exit("two processes need two cores")
    with tempfile.TemporaryDirectory() as folder:
        written = pipeline(Path(folder), frames, (540, 960))

        def run(out: str, core: int, *more: str) -> subprocess.Popen:
            words = [sys.executable, "-m", "edgekit", "data", "extract", written, "--out", Path(folder) / out, *more]
            pinned = partial(os.sched_setaffinity, 0, {core})
            return subprocess.Popen([*map(str, words)], stdout=subprocess.DEVNULL, preexec_fn=pinned)

        times = []
        for out, shares in (("one", [()]), ("two", [("--shard", "1/2"), ("--shard", "2/2")])):
            began = time.perf_counter()
            running = [run(out, core, *share) for core, share in zip(cores, shares, strict=False)]
            if any(child.wait() for child in running):
                sys.exit("edgekit data extract failed")
            times.append(time.perf_counter() - began)
    return {
        "shard_frames": frames,
        "one_seconds": times[0],
        "two_seconds": times[1],
        "ratio": times[0] / times[1],
    }


def markdown(found: dict[str, float]) -> str:
    held = {True: "holds", False: "**does not hold**"}
    growth = found["mib"] / found["quarter_mib"] - 1
    rows = [
        ["the first run, maps included", f"{found['first_ms_per_frame']:.1f} ms per frame"],
        ["a run that finds everything done", f"{found['again_ms_per_frame']:.2f} ms per frame"],
        ["`edgekit data status`", f"{found['status_seconds']:.1f} s"],
        ["peak memory, a quarter of the frames", f"{found['quarter_mib']:.0f} MiB"],
        ["peak memory, all", f"{found['mib']:.0f} MiB"],
        [f"{found['shard_frames']} frames of 540×960 by one process", f"{found['one_seconds']:.1f} s"],
        ["the same by two, `--shard 1/2` and `2/2`", f"{found['two_seconds']:.1f} s"],
    ]
    return "\n\n".join(
        [
            provenance(["numpy", "onnxruntime", "av"]),
            f"{found['frames']:,} frames of 32×48, 14 tasks. Per frame: the processor's time; else the clock's.",
            table(["what", "found"], rows),
            f"- {held[found['again_ms_per_frame'] <= GOAL_MS]}: bookkeeping of at most {GOAL_MS:g} ms per frame\n"
            f"- {held[growth <= GOAL_GROWTH]}: four times the frames take {growth:+.0%} of memory (at most "
            f"{GOAL_GROWTH:.0%})\n"
            f"- {held[found['status_seconds'] <= GOAL_STATUS]}: status in at most {GOAL_STATUS:g} s\n"
            f"- {held[found['ratio'] >= GOAL_RATIO]}: two processes {found['ratio']:.2f} times one (goal {GOAL_RATIO})",
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--frames", type=int, default=12_000, help="of the small film (default 12000)")
    parser.add_argument("--shard-frames", type=int, default=128, help="of the large film (default 128)")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--write", action="store_true", help=f"put the section '{SECTION}' into RESULTS.md")
    given = parser.parse_args()
    found = bookkeeping(given.frames) | sharing(given.shard_frames)
    if given.write:
        write_section(SECTION, markdown(found))
    print(json.dumps(found) if given.json else markdown(found))


if __name__ == "__main__":
    main()

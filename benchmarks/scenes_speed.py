"""Frames per second of the procedural world, everything included: worlds, all maps, writing to disk.

python benchmarks/scenes_speed.py [--scenes 4] [--frames 40] [--processes 2] [--json]
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np

from edgekit.data.scenes import Scenes, ScenesConfig


def processor() -> str:
    """The processor's name as Linux tells it, or what Python knows."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scenes", type=int, default=4, help="worlds to render (default 4)")
    parser.add_argument("--frames", type=int, default=40, help="frames per world (default 40)")
    parser.add_argument("--processes", type=int, default=2, help="rendering processes (default 2)")
    parser.add_argument("--size", type=int, nargs=2, default=(160, 288), metavar=("H", "W"), help="default 160 288")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    given = parser.parse_args()

    counts = {"train": given.scenes, "val": 0, "test": 0}
    config = ScenesConfig(size=tuple(given.size), scenes=counts, frames_per_scene=given.frames)
    with tempfile.TemporaryDirectory() as folder:
        source = Scenes(config, Path(folder), Path(folder))
        used, begin = os.times(), time.perf_counter()
        frames = source.prepare(processes=given.processes)
        seconds, spent = time.perf_counter() - begin, os.times()
        size = sum(path.stat().st_size for path in source.folder.rglob("*.npz")) / frames
        begin = time.perf_counter()
        for frame in source.frames("train"):
            source.read(frame, source.tasks)
        reading = (time.perf_counter() - begin) / frames
    busy = spent.children_user + spent.children_system - used.children_user - used.children_system
    result = {
        "frames_per_second": round(frames / seconds, 2),
        "frames": frames,
        "size": list(given.size),
        "seconds": round(seconds, 2),
        "processes": given.processes,
        "cpu_seconds_per_frame": round(busy / frames, 4),
        "bytes_per_frame": round(size),
        "read_ms_per_frame": round(1000 * reading, 2),
        "load_average": round(os.getloadavg()[0], 2),
        "cores": os.cpu_count(),
        "processor": processor(),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "opencv": cv2.__version__,
    }
    if given.json:
        print(json.dumps(result))
    else:
        for key, value in result.items():
            print(f"{key:22} {value}")


if __name__ == "__main__":
    main()

"""Listing and reading a data set of 12,000 frames × 14 tasks in the layout of Dronescapes, from tiny generated files.

python benchmarks/dronescapes_scale.py [--frames 12000] [--size 6 8] [--threads 1 2] [--full-size 12] …

Prints how long listing takes, by how much the process grows, and how many frames per second come back with all their
tasks. With --full-size N also the reading rate of N frames at 540×960, compressed as by `edgekit data convert`,
beside what one training step of the 430k network at that size consumes on the CPU.
"""

from __future__ import annotations

import argparse
import io
import json
import resource
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from results import provenance, table, write_section

from edgekit.data.dronescapes import Dronescapes, DronescapesConfig
from edgekit.networks.safeuav import SafeUAV

SCENES = ("atanasie", "gradistei", "herculane", "jupiter", "olanesti", "petrova", "slanic")
SEMANTIC = ("semantic_segprop8", *(f"semantic_mask2former_{e}_converted" for e in ("swin_mapillary", "swin_coco")))
BINARY = ("buildings", "sky-and-water", "transportation", "containing", "vegetation", "safe-landing-no-sseg")
FLOATS = {
    "depth_sfm_manual202204": 1,
    "depth_marigold": 1,
    "normals_sfm_manual202204": 3,
    "normals_svd(depth_marigold)": 3,
}


def frame_maps(rng: np.random.Generator, size: tuple[int, int]) -> dict[str, np.ndarray]:
    """One frame's 14 maps as they lie on disk: blocky, so that they compress about as real ones do."""

    def blocks(values: np.ndarray) -> np.ndarray:
        return np.kron(values, np.ones((8, 8, 1), values.dtype))[: size[0], : size[1]]

    small = (size[0] // 8 + 1, size[1] // 8 + 1)
    noise = rng.normal(0, 6, (*size, 3))
    maps = {"rgb": np.clip(blocks(rng.integers(0, 256, (*small, 3))) + noise, 0, 255).astype(np.uint8)}
    maps |= {name: blocks(rng.integers(0, 8, (*small, 1)).astype(np.uint8))[..., 0] for name in SEMANTIC}
    maps |= {name: blocks(rng.random((*small, 1)) < 0.5)[..., 0] for name in BINARY}
    for name, channels in FLOATS.items():
        values = blocks(rng.uniform(0.2, 0.8, (*small, channels))) + rng.normal(0, 0.01, (*size, channels))
        maps[name] = values.astype(np.float16)
    return maps


def packed(maps: dict[str, np.ndarray], *, compress: bool) -> dict[str, bytes]:
    out = {}
    for name, array in maps.items():
        buffer = io.BytesIO()
        (np.savez_compressed if compress else np.savez)(buffer, array)
        out[name] = buffer.getvalue()
    return out


def generate(root: Path, frames: int, size: tuple[int, int], *, variants: int, compress: bool) -> None:
    """``frames`` frames of a train set; each file is a file of its own, with one of ``variants`` contents."""
    contents = [packed(frame_maps(np.random.default_rng(i), size), compress=compress) for i in range(variants)]
    for name in contents[0]:
        folder = root / "train_set" / name
        folder.mkdir(parents=True)
        for i in range(frames):
            part = folder / f"part{2 * i // frames}"
            if i in (0, frames // 2, (frames + 1) // 2):
                part.mkdir(exist_ok=True)
            (part / f"{SCENES[i % len(SCENES)]}_{i}.npz").write_bytes(contents[i % variants][name])


def grown_mib(since: int) -> float:
    """By how much the process's largest size has grown, MiB."""
    return (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - since) / 1024


def timed(action) -> tuple[object, float]:
    began = time.perf_counter()
    result = action()
    return result, time.perf_counter() - began


def reading_rate(source: Dronescapes, threads: int) -> float:
    """Frames per second, every task of every frame."""
    frames = source.frames("train")
    with ThreadPoolExecutor(threads) as pool:
        _, seconds = timed(lambda: sum(len(m) for m in pool.map(lambda f: source.read(f, source.tasks), frames)))
    return len(frames) / seconds


def step_seconds(size: tuple[int, int], channels: int) -> float:
    """Forward and backward of the 430k network on one frame, on this CPU."""
    network = SafeUAV(channels, channels, width=10)
    x = torch.randn(1, channels, *size)
    return timed(lambda: network(x).square().mean().backward())[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--frames", type=int, default=12_000, help="default 12000")
    parser.add_argument("--size", type=int, nargs=2, default=(6, 8), metavar=("H", "W"), help="of the tiny maps")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2], help="reading threads (default 1 2)")
    parser.add_argument("--full-size", type=int, default=0, metavar="N", help="also N frames at 540×960")
    parser.add_argument("--folder", type=Path, help="where to generate (default: the temporary folder)")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--record", action="store_true", help="write the section of RESULTS.md")
    given = parser.parse_args()

    found: dict[str, float] = {"frames": given.frames}
    with tempfile.TemporaryDirectory(dir=given.folder) as folder:
        root = Path(folder)
        _, seconds = timed(lambda: generate(root, given.frames, tuple(given.size), variants=16, compress=False))
        found["generating_s"] = round(seconds, 1)
        config = DronescapesConfig(root=root)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        source, seconds = timed(lambda: Dronescapes(config, root))
        found["tasks"], found["files"] = len(source.tasks), given.frames * len(source.tasks)
        found["listing_s"] = round(seconds, 2)
        found["listing_grows_mib"] = round(grown_mib(before), 1)
        found["fingerprint_s"] = round(timed(source.fingerprint)[1], 2)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        for threads in given.threads:
            found[f"reading_{threads}_threads_frames_per_s"] = round(reading_rate(source, threads), 1)
        found["reading_grows_mib"] = round(grown_mib(before), 1)
    if given.full_size:
        size = (540, 960)
        with tempfile.TemporaryDirectory(dir=given.folder) as folder:
            root = Path(folder)
            generate(root, given.full_size, size, variants=2, compress=True)
            source = Dronescapes(DronescapesConfig(root=root), root)
            found["full_size_bytes_per_frame"] = sum(p.stat().st_size for p in root.rglob("*.npz")) // given.full_size
            for threads in given.threads:
                rate = reading_rate(source, threads)
                found[f"full_size_{threads}_threads_frames_per_s"] = round(rate, 2)
        channels = 3 + 8 * 3 + 1 * 2 + 3 * 2 + len(BINARY)
        found["network_430k_frames_per_s"] = round(1 / step_seconds(size, channels), 3)
    if given.json:
        print(json.dumps(found))
    else:
        for key, value in found.items():
            print(f"{key:34} {value}")
    if given.record:
        rows = [(key.replace("_", " "), f"{value:,}") for key, value in found.items()]
        note = (
            "Every task of every frame is read; the files are in the page cache, having just been written. The network "
            "takes one frame at 540×960 forward and back, in float32 on this CPU."
        )
        body = [provenance(["torch"]), note, table(["what", "figure"], rows)]
        write_section("Dronescapes at scale", "\n\n".join(body))


if __name__ == "__main__":
    main()

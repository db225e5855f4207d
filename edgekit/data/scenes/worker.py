"""Renders frames in a process of its own: ``python -m edgekit.data.scenes.worker CONFIG_JSON FOLDER``.

Jobs come as lines on stdin, ``split scene index index …``; every finished frame is told as a line ``done`` on stdout. A
fresh interpreter rather than multiprocessing: it forks no process that may hold threads, and needs no guarded main.
"""

from __future__ import annotations

import sys
from pathlib import Path

import cv2

from edgekit.data.scenes.config import ScenesConfig
from edgekit.data.scenes.scene import Scene
from edgekit.data.scenes.store import is_whole, write_frame


def frame_path(folder: Path, split: str, number: int, index: int) -> Path:
    return folder / f"{split}-{number}" / f"{index:05d}.npz"


def main(config_json: str, folder: str) -> None:
    cv2.setNumThreads(1)
    config = ScenesConfig.model_validate_json(config_json)
    scene, key = None, None
    for line in sys.stdin:
        split, *numbers = line.split()
        number, *indices = map(int, numbers)
        for index in indices:
            path = frame_path(Path(folder), split, number, index)
            if not is_whole(path):
                if key != (split, number):
                    scene, key = None, (split, number)  # the old world is let go before the new one is built
                    scene = Scene(config, split, number)
                write_frame(path, scene.frame(index))
            print("done", flush=True)
        print("next", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])

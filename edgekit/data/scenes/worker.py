"""Renders frames in a process of its own: ``python -m edgekit.data.scenes.worker CONFIG_JSON FOLDER``.

Each line on stdin is a scene, ``split number index index …``; for every finished frame a line is written to stdout. A
fresh interpreter rather than multiprocessing: it forks no process that may hold threads, and needs no guarded main.
"""

from __future__ import annotations

import sys
from pathlib import Path

import cv2

from edgekit.data.scenes.config import ScenesConfig
from edgekit.data.scenes.scene import Scene
from edgekit.data.scenes.store import frame_path, write_frame
from edgekit.frames.files import is_whole_zip


def main(config_json: str, folder: str) -> None:
    cv2.setNumThreads(1)
    config = ScenesConfig.model_validate_json(config_json)
    for line in sys.stdin:
        split, number, *indices = line.split()
        scene = None  # the old world is let go before the new one is built
        scene = Scene(config, split, int(number))
        for index in map(int, indices):
            path = frame_path(Path(folder), split, int(number), index)
            if not is_whole_zip(path):  # another run may have rendered it meanwhile
                write_frame(path, scene.frame(index))
            print("done", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])

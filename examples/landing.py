"""Camera → class map, with onnxruntime and OpenCV alone: pip install 'edgekit[cpu]'

    python landing.py bundles/uav.tar 0

Prints, for every frame, how much of the middle of the picture the student sees as each class.
"""

import sys

import numpy as np

import edgekit
from edgekit.frames.open_input import open_input


def main(bundle: str, camera: str) -> None:
    predictor = edgekit.load(bundle, outputs=["semantic"])
    classes = next(task.classes for task in predictor.tasks if task.name == "semantic")
    frames = open_input(camera)  # an index, a video's path, rtsp://…, csi://0 on a Jetson
    try:
        for shot in frames:  # the newest frame each time; older ones are dropped
            seen = predictor.infer(shot.image, shot.colour)["semantic"]  # (H, W) uint8, the frame's own size
            height, width = seen.shape
            middle = seen[height // 3 : 2 * height // 3, width // 3 : 2 * width // 3]
            shares = np.bincount(middle.ravel(), minlength=len(classes)) / middle.size
            named = zip(classes, shares, strict=True)
            print("  ".join(f"{name} {share:.0%}" for name, share in named if share >= 0.01))
    finally:
        frames.close()
        predictor.close()


if __name__ == "__main__":
    main(*sys.argv[1:])

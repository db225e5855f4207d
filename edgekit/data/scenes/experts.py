"""Simulated experts: what imperfect pre-trained networks might say about a frame.

Their errors are structured. Where an expert takes one class for another is decided by fields fixed to the world, so a
confused meadow stays confused from every frame that sees it; borders are blobs, and little things vanish.
"""

from __future__ import annotations

import math

import cv2
import numpy as np

from edgekit.data.scenes.grid import FOREST, HILL, LAND, LITTLE, RESIDENTIAL, ROAD, SKY, WATER, nearest
from edgekit.data.scenes.noise import smoothstep
from edgekit.data.scenes.world import Landscape

# (true class, said class, which confusion field, threshold in deviations)
CONFUSED_A = (
    (HILL, LAND, 0, 0.35), (LAND, HILL, 0, 1.35), (ROAD, LAND, 1, 0.45), (FOREST, LAND, 2, 1.1),
    (LITTLE, ROAD, 3, -9.0), (WATER, FOREST, 4, 1.2), (LAND, ROAD, 5, 1.7), (RESIDENTIAL, LAND, 6, 1.2),
)  # fmt: skip
CONFUSED_B = (
    (LAND, FOREST, 7, 1.15), (HILL, FOREST, 7, 0.8), (FOREST, HILL, 6, 1.1), (RESIDENTIAL, ROAD, 5, 0.7),
    (ROAD, RESIDENTIAL, 4, 1.0), (WATER, LAND, 3, 0.9), (LAND, RESIDENTIAL, 1, 1.8), (LITTLE, RESIDENTIAL, 2, 0.2),
    (LAND, WATER, 0, -1.9),
)  # fmt: skip


def _confuse(label: np.ndarray, fields: np.ndarray, rules: tuple) -> np.ndarray:
    said = label.copy()
    for true, wrong, field, threshold in rules:
        over = fields[..., field] < threshold if threshold < -1 and field == 0 else fields[..., field] > threshold
        said[(label == true) & over] = wrong
    return said


def _displace(label: np.ndarray, dx: np.ndarray, dy: np.ndarray) -> np.ndarray:
    height, width = label.shape
    x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    return cv2.remap(label, x + dx, y + dy, cv2.INTER_NEAREST, borderMode=cv2.BORDER_REPLICATE)


def _blobs(label: np.ndarray, factor: int, sigma: float, favour: np.ndarray) -> np.ndarray:
    """Borders as a network of low resolution draws them: the class that weighs most after a blur at 1/factor."""
    height, width = label.shape
    small = (max(1, width // factor), max(1, height // factor))
    planes = np.stack([(label == k).astype(np.float32) for k in range(8)], axis=-1)
    planes = cv2.resize(planes, small, interpolation=cv2.INTER_AREA)
    planes = cv2.GaussianBlur(planes, (0, 0), sigma) * favour
    return cv2.resize(planes, (width, height), interpolation=cv2.INTER_LINEAR).argmax(axis=-1).astype(np.uint8)


def segmentations(
    world: Landscape, label: np.ndarray, points: np.ndarray, depth: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """What the two experts say, uint8 (H, W) each.

    label   (H, W) true classes
    points  (H, W, 2) map points of the pixels in metres (anything in the sky)
    depth   (H, W) metres, NaN in the sky
    """
    fields = nearest(world.confusion, points)
    fields[label == SKY] = 0.0
    unit = label.shape[1] / 288.0
    far = np.nan_to_num(depth, nan=700.0)
    a = _confuse(label, fields, CONFUSED_A)
    a = _displace(a, 2.5 * unit * fields[..., 2], 2.0 * unit * fields[..., 3])
    a = _blobs(a, 4, 0.9, np.array([1.0, 1.05, 1.15, 0.95, 0.7, 1.0, 1.1, 1.0], np.float32))

    b = _confuse(label, fields, CONFUSED_B)
    b[(label == LAND) & (far > 330) & (fields[..., 5] > -0.4)] = HILL
    b[(label == HILL) & (far > 430) & (fields[..., 4] > 0.2)] = SKY
    b = _displace(b, 1.5 * unit * fields[..., 5], 2.0 * unit * fields[..., 6])
    b = _blobs(b, 2, 1.0, np.array([1.0, 0.9, 1.0, 1.1, 1.2, 0.95, 1.0, 1.0], np.float32))
    return a, b


def _blurred(plane: np.ndarray) -> np.ndarray:
    """A map as a network of half the resolution sees it."""
    height, width = plane.shape[:2]
    small = cv2.resize(plane, (max(2, width // 2), max(2, height // 2)), interpolation=cv2.INTER_AREA)
    return cv2.resize(cv2.GaussianBlur(small, (0, 0), 1.5), (width, height), interpolation=cv2.INTER_LINEAR)


def metric_depth(rng: np.random.Generator, depth: np.ndarray, near: float, far: float) -> np.ndarray:
    """What the depth expert says in metres, from ``near`` to ``far`` (the sky), float32 (H, W), every pixel valid.

    Its borders are blurred and displaced, and its logarithm is bent by a low-frequency bias and by a scale and shift of
    the frame's own: wrong by about 8 % (AbsRel), as networks of metric depth are on scenes that they were not trained
    on.
    """
    height, width = depth.shape
    span = math.log(far / near)
    told = np.log(np.clip(np.nan_to_num(depth, nan=far), near, far) / near) / span
    told = _blurred(told.astype(np.float32))
    bias = cv2.resize(rng.normal(0, 1, (4, 6)).astype(np.float32), (width, height), interpolation=cv2.INTER_CUBIC)
    scale, shift = 1.0 + rng.normal(0, 0.03), rng.normal(0, 0.0125)
    sky = smoothstep(0.97, 1.0, told)
    warped = 0.6 + (told - 0.6) * scale + shift + 0.018 * bias
    warped = np.clip(warped + (1.0 - warped) * sky, 0.0, 1.0)
    return (near * np.exp(span * warped)).astype(np.float32)


def surface_normals(rng: np.random.Generator, normals: np.ndarray) -> np.ndarray:
    """What the normals expert says of camera normals (H, W, 3), NaN in the sky: unit vectors float32, everywhere.

    As blurred as the depth expert's: a tree is a hump, a ridge is round. Turned a little as a whole, and by a
    low-frequency bias: wrong by about 20°. The sky is said to face the camera.
    """
    height, width = normals.shape[:2]
    told = np.where(np.isfinite(normals[..., :1]), normals, np.float32([0.0, 0.0, -1.0])).astype(np.float32)
    told = _blurred(told)
    bias = rng.normal(0, 0.08, (4, 6, 3)).astype(np.float32)
    turn = cv2.resize(bias, (width, height), interpolation=cv2.INTER_CUBIC)
    turn += rng.normal(0, 0.05, 3).astype(np.float32)
    told = told / np.maximum(np.linalg.norm(told, axis=-1, keepdims=True), 1e-6)
    told = told + np.cross(turn, told)
    return (told / np.linalg.norm(told, axis=-1, keepdims=True)).astype(np.float32)

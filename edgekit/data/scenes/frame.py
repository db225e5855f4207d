"""One frame: everything the camera sees and everything that is known about it."""

from __future__ import annotations

import cv2
import numpy as np

from edgekit.data.scenes.experts import metric_depth, segmentations, surface_normals
from edgekit.data.scenes.flight import Pose, pixel_rays
from edgekit.data.scenes.grid import SKY
from edgekit.data.scenes.rays import intersect
from edgekit.data.scenes.shade import radiance, sky_light, surface_at
from edgekit.data.scenes.thermal import camera as thermal_camera
from edgekit.data.scenes.thermal import sky_temperature, surface_temperature
from edgekit.data.scenes.world import Landscape

NEAR_DEPTH, FAR_DEPTH = 5.0, 700.0
_TONES = (255.0 * np.linspace(0.0, 1.0, 4097) ** (1 / 2.2)).astype(np.float32)


def render(
    world: Landscape, pose: Pose, following: Pose | None, size: tuple[int, int], rng: np.random.Generator
) -> dict[str, np.ndarray]:
    """All maps of one frame (H, W), in native form.

    rgb        uint8 (H, W, 3)
    semantic   uint8
    depth      float32, metres along the optical axis, NaN in the sky
    normals    float32 (H, W, 3), camera frame, NaN in the sky
    flow       float32 (H, W, 2), pixels to where the point is seen from ``following``; left out when that is None;
               the sky is infinitely far; NaN where the point lies behind the following camera
    simulated_segmentation_a, simulated_segmentation_b   uint8
    simulated_depth   float32, metres, also in the sky
    simulated_normals   float32 (H, W, 3), camera frame, also in the sky
    thermal    uint8, of a simulated thermal camera
    """
    width = size[1]
    camera = pixel_rays(size, pose.focal).reshape(-1, 3)
    directions = camera @ pose.rotation.T
    depth = intersect(world.height, pose, directions, 1.0 / (pose.focal * width))
    length = np.linalg.norm(directions, axis=1)
    hit = np.isfinite(depth)
    ground, air = np.flatnonzero(hit), np.flatnonzero(~hit)
    views = (directions / length[:, None]).astype(np.float32)
    points = pose.position + depth[ground, None] * directions[ground]
    hits = surface_at(world, points, depth[ground] / np.float32(pose.focal * width))

    light = np.empty((len(depth), 3), np.float32)
    reach = depth[ground] * length[ground].astype(np.float32)
    light[ground] = radiance(world, hits, views[ground], reach)
    light[air] = sky_light(world, views[air])
    kelvin = np.empty(len(depth), np.float32)
    kelvin[ground] = surface_temperature(world, hits, views[ground], reach)
    kelvin[air] = sky_temperature(world, views[air])
    label = np.full(len(depth), SKY, np.uint8)
    label[ground] = hits.label
    normals = np.full((len(depth), 3), np.nan, np.float32)
    normals[ground] = hits.normal @ pose.rotation.astype(np.float32)

    label, depth = label.reshape(size), depth.reshape(size)
    places = np.zeros((len(hit), 2))
    places[ground] = points[:, :2]
    expert_a, expert_b = segmentations(world, label, places.reshape(*size, 2), depth)
    maps = {
        "rgb": _photograph(light.reshape(*size, 3) * np.float32(world.exposure), rng),
        "semantic": label,
        "depth": depth,
        "normals": normals.reshape(*size, 3),
        "simulated_segmentation_a": expert_a,
        "simulated_segmentation_b": expert_b,
        "simulated_depth": metric_depth(rng, depth, NEAR_DEPTH, FAR_DEPTH),
        "simulated_normals": surface_normals(rng, normals.reshape(*size, 3)),
        "thermal": thermal_camera(kelvin.reshape(size), rng),  # last: the others are what they were before it
    }
    if following is not None:
        maps["flow"] = optical_flow(camera, depth, pose, following)
    return maps


def optical_flow(camera: np.ndarray, depth: np.ndarray, pose: Pose, following: Pose) -> np.ndarray:
    """Exact flow (H, W, 2) float32 of a still world, from depth (H, W) and the two poses."""
    height, width = depth.shape
    turn = pose.rotation.T @ following.rotation
    shift = (pose.position - following.position) @ following.rotation
    z = depth.reshape(-1, 1)
    seen = np.where(np.isnan(z), camera @ turn, (camera @ turn) * z + shift)
    front = seen[:, 2] > 1e-6
    scale = following.focal * width
    with np.errstate(divide="ignore", invalid="ignore"):
        there = np.where(front[:, None], seen[:, :2] / seen[:, 2:] * scale, np.nan)
    return (there - camera[:, :2] * (pose.focal * width)).astype(np.float32).reshape(height, width, 2)


def _photograph(light: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Lens and sensor, uint8: automatic exposure that corrects half of the error, a little blur, vignetting, highlights
    that saturate softly, noise."""
    height, width = light.shape[:2]
    light *= np.clip(np.sqrt(0.2 / light.mean()), 0.6, 1.6)
    light = cv2.GaussianBlur(light, (3, 3), 0.45)
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j].astype(np.float32)
    light *= (1.0 - 0.13 * (x * x + y * y))[..., None]
    light = np.where(light > 0.6, 0.6 + 0.4 * (1.0 - np.exp((0.6 - light) / 0.4)), light)
    noise = rng.standard_normal(light.shape, dtype=np.float32)
    light += noise * np.sqrt(0.00003 + 0.00028 * np.maximum(light, 0.0))
    tones = _TONES[(np.clip(light, 0.0, 1.0) * 4096.0).astype(np.int32)]
    return np.clip(tones + 0.9 * noise + 0.5, 0, 255).astype(np.uint8)

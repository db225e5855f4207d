"""The benchmark of derived maps: it times all of them, and its verdict is that of its figures."""

from __future__ import annotations

import cv2


def test_every_derived_map_is_timed(benchmark_module):
    module, threads = benchmark_module("derived_maps"), cv2.getNumThreads()
    found = module.measure(1, (36, 64))
    assert cv2.getNumThreads() == threads
    assert len(found) == 14 and min(found.values()) > 0
    text = module.markdown(found)
    assert all(f"| {name} |" in text for name in found) and f"| all | {sum(found.values()):.1f} |" in text


def test_the_goal_is_three_frames_a_second(benchmark_module):
    module = benchmark_module("derived_maps")
    for ms, held in ((333.0, "- holds: 3.0"), (334.0, "- **does not hold**: 3.0")):
        assert held in module.markdown({"normals": ms})

"""Derived maps: pure functions of a frame's other maps, from votes of segmentations to normals of a depth map."""

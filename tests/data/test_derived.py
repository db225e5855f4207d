"""Derived maps against slow ones, written pixel by pixel from what they are said to be."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from edgekit.data.derived.derivation import Needs, PinholeCamera
from edgekit.data.derived.normals import plane_normals
from edgekit.data.derived.registry import DERIVATIONS
from edgekit.errors import EdgekitError
from edgekit.tasks import Task, kind_of

STREETS = ("road", "house", "tree", "sky", "lake", "fence")
THINGS = ("sky-other", "sea", "roof", "grass", "river")
SIZE = (23, 31)


def opened(kind, tasks, **keys):
    given = {"derive": kind, "of": [task.name for task in tasks], **keys}
    return DERIVATIONS[kind](DERIVATIONS[kind].Config(**given), Needs(tasks, PinholeCamera(), "extract.tasks.x"))


def semantic(name, classes=STREETS):
    return Task(name, "semantic", classes=classes)


def class_map(rng, classes=STREETS, size=SIZE, holes=0.1):
    found = rng.integers(0, len(classes), size).astype(np.uint8)
    found[rng.random(size) < holes] = 255
    return found


def checked(derivation, maps):
    """What it gives, found to be a map of its own task, the same when computed again, and its inputs unchanged."""
    before = [m.copy() for m in maps]
    found = derivation.compute(maps)
    kind_of(derivation.task).validate(derivation.task, found, "here")
    assert found.tobytes() == derivation.compute([np.asfortranarray(m) for m in maps]).tobytes()
    for was, now in zip(before, maps, strict=True):
        np.testing.assert_array_equal(was, now)
    return found


def per_pixel(maps, function, dtype):
    """``function`` of the values of each pixel, one after the other."""
    out = [[function(*(m[i, j] for m in maps)) for j in range(maps[0].shape[1])] for i in range(maps[0].shape[0])]
    return np.array(out, dtype)


# Votes and classes

MEMBERS = {"a": ["house", "fence"], "b": ["roof"], "c": ["house"]}
VOTERS = [semantic("a"), semantic("b", THINGS), semantic("c")]


@pytest.mark.parametrize(("least", "needed"), [(None, 2), (1, 1), (3, 3)])
def test_a_vote_counts_the_maps_that_have_a_member(least, needed):
    rng = np.random.default_rng(0)
    maps = [class_map(rng), class_map(rng, THINGS), class_map(rng)]

    def slow(*indices):
        named = [t.classes[i] if i != 255 else None for t, i in zip(VOTERS, indices, strict=True)]
        return sum(name in MEMBERS[t.name] for t, name in zip(VOTERS, named, strict=True)) >= needed

    found = checked(opened("vote", VOTERS, members=MEMBERS, least=least), maps)
    np.testing.assert_array_equal(found, per_pixel(maps, slow, np.uint8))
    assert 0 < found.mean() < 1


NEW = {"ground": ["road", "lake"], "built": ["house"], "air": ["sky"]}


LISTED = {"road": 0, "lake": 0, "house": 1, "sky": 2}


@pytest.mark.parametrize(
    ("keys", "left"),
    [
        ({"rest": "built"}, {"tree": 1, "fence": 1}),
        ({"ignore": ["tree", "fence"]}, {"tree": 255, "fence": 255}),
        ({"rest": "air", "ignore": ["tree"]}, {"tree": 255, "fence": 2}),
    ],
)
def test_classes_are_mapped_by_name(keys, left):
    maps = [class_map(np.random.default_rng(1))]
    derivation = opened("map_classes", [semantic("a")], classes=NEW, **keys)
    assert derivation.task.classes == ("ground", "built", "air")
    found = checked(derivation, maps)
    expected = per_pixel(maps, lambda i: 255 if i == 255 else (LISTED | left)[STREETS[i]], np.uint8)
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("count", [2, 3, 4, 5])
def test_the_majority_and_its_ties(count):
    rng = np.random.default_rng(count)
    maps = [class_map(rng, holes=0.3) for _ in range(count)]

    def slow(*indices):
        votes = Counter(int(i) for i in indices if i != 255)
        return min(votes, key=lambda i: (-votes[i], i)) if votes else 255

    found = checked(opened("majority", [semantic(c) for c in "abcde"[:count]]), maps)
    np.testing.assert_array_equal(found, per_pixel(maps, slow, np.uint8))


@settings(max_examples=30, deadline=None)
@given(st.permutations(range(4)), st.integers(0, 2**32 - 1))
def test_no_vote_depends_on_the_order_of_the_maps(order, seed):
    rng = np.random.default_rng(seed)
    maps = [class_map(rng, size=(4, 5)) for _ in range(4)]
    for kind in ("majority", "disagreement"):
        derivation = opened(kind, [semantic(c) for c in "abcd"])
        np.testing.assert_array_equal(derivation.compute(maps), derivation.compute([maps[i] for i in order]))


# Disagreement


def test_experts_disagree_by_the_share_that_votes_for_another_class():
    rng = np.random.default_rng(2)
    maps = [class_map(rng, holes=0.4) for _ in range(4)]

    def slow(*indices):
        known = [int(i) for i in indices if i != 255]
        return 1 - max(Counter(known).values()) / len(known) if len(known) > 1 else math.nan

    found = checked(opened("disagreement", [semantic(c) for c in "abcd"]), maps)
    np.testing.assert_allclose(found, per_pixel(maps, slow, float), atol=1e-6)


@pytest.mark.parametrize("unit", ["", "m"])
def test_depths_disagree_by_twice_the_deviation_of_their_codes(unit):
    rng = np.random.default_rng(3)
    task = Task("a", "depth", range=(2.0, 90.0) if unit else (0.0, 1.0), unit=unit)
    maps = [rng.uniform(*task.range, SIZE).astype(np.float32) for _ in range(3)]
    maps[0][:9], maps[1][:5], maps[2][:2, :9] = np.nan, np.nan, np.nan

    def slow(*depths):
        known = [float(d) for d in depths if not math.isnan(d)]
        codes = [math.log(d / 2) / math.log(90 / 2) for d in known] if unit else known
        return 2 * float(np.std(codes)) if len(codes) > 1 else math.nan

    tasks = [Task(n, "depth", range=task.range, unit=unit) for n in "abc"]
    found = checked(opened("disagreement", tasks), maps)
    np.testing.assert_allclose(found, per_pixel(maps, slow, float), atol=1e-5)
    assert np.isnan(found[:5]).all() and not np.isnan(found[9:]).any()


def unit_vectors(rng, size=SIZE):
    vectors = rng.normal(size=(*size, 3))
    return (vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)).astype(np.float32)


def test_normals_disagree_by_what_their_mean_is_shorter_than_one():
    rng = np.random.default_rng(4)
    maps = [unit_vectors(rng) for _ in range(3)]
    maps[1][:3] = np.nan
    found = checked(opened("disagreement", [Task(n, "normals") for n in "abc"]), maps)
    for i, j in np.ndindex(SIZE):
        known = [m[i, j].astype(float) for m in maps if not np.isnan(m[i, j]).any()]
        assert found[i, j] == pytest.approx(1 - np.linalg.norm(np.mean(known, axis=0)), abs=1e-5)


# Places

DEPTH = Task("d", "depth", range=(0.0, 1.0))


def test_nearby_is_yes_and_near():
    rng = np.random.default_rng(5)
    yes, depth = rng.choice(np.uint8([0, 1, 255]), SIZE), rng.random(SIZE, np.float32)
    depth[:4], depth[5, :9] = np.nan, np.float32(0.3)
    found = checked(opened("nearby", [Task("b", "binary"), DEPTH]), [yes, depth])
    expected = per_pixel([yes, depth], lambda y, d: y == 1 and not math.isnan(d) and d <= np.float32(0.3), np.uint8)
    np.testing.assert_array_equal(found, expected)
    assert found[5, :9].any()  # the limit itself is near


@pytest.mark.parametrize("count", [0, 1, 2])
def test_a_landing_is_safe_where_it_is_level_near_and_nothing_forbids_it(count):
    rng = np.random.default_rng(6)
    normals = unit_vectors(rng)
    normals[..., 1] = np.abs(normals[..., 1])
    normals[:2] = np.nan
    depth = rng.random(SIZE, np.float32)
    depth[-2:] = np.nan
    masks = [rng.integers(0, 2, SIZE).astype(np.uint8) for _ in range(count)]

    def slow(i, j):
        x, y, z = (float(n) / 2 + 0.5 for n in normals[i, j])
        return y > 0.8 and x + z < 1.2 and float(depth[i, j]) <= 0.9 and all(m[i, j] == 1 for m in masks)

    tasks = [Task("n", "normals"), DEPTH, *(Task(f"m{i}", "binary") for i in range(count))]
    found = checked(opened("safe_landing", tasks), [normals, depth, *masks])
    expected = np.array([[slow(i, j) for j in range(SIZE[1])] for i in range(SIZE[0])], np.uint8)
    np.testing.assert_array_equal(found, expected)
    assert found.any()


# Normals


def slow_normals(depth, camera, window):
    """By an eigenvalue solver, one pixel after the other; also the share of the second smallest eigenvalue."""
    height, width = depth.shape
    wide, high = camera.sensor
    z = 0.5 * math.sqrt(wide**2 + high**2) / math.tan(camera.fov / 2 * math.pi / 180)
    v, u = np.mgrid[:height, :width].astype(float)
    rays = np.stack([(u - width / 2) * wide / (z * width), (v - height / 2) * high / (z * height), np.ones_like(u)], -1)
    points, half = depth[..., None].astype(float) * rays, window // 2
    normals, gap = np.full((height, width, 3), np.nan), np.zeros((height, width))
    for i, j in np.ndindex(height, width):
        part = np.s_[max(i - half, 0) : i + half + 1, max(j - half, 0) : j + half + 1]
        inside = points[part].reshape(-1, 3)
        inside = inside[~np.isnan(inside).any(axis=1)]
        if math.isnan(depth[i, j]) or len(inside) < 3:
            continue
        values, vectors = np.linalg.eigh(np.cov(inside.T, bias=True))
        normal = vectors[:, 0]
        normals[i, j] = normal if normal @ rays[i, j] > 0 else -normal
        gap[i, j] = (values[1] - values[0]) / values[2]
    return normals, gap


def surfaces():
    rng = np.random.default_rng(7)
    y, x = np.mgrid[:22, :28]
    smooth = 0.5 + 0.2 * np.sin(x / 7) * np.cos(y / 5)
    steps = np.where((x // 9 + y // 7) % 2, 0.3, 0.7) + x / 300
    holes = smooth.copy()
    holes[rng.random(holes.shape) < 0.5] = np.nan
    holes[:8, :9] = np.nan
    return {
        "smooth": smooth,
        "noisy": smooth * rng.normal(1, 0.03, smooth.shape),
        "steps": steps,
        "holes": holes,
        "far": 280 + 15 * smooth,
        "near and far": np.where(x > 15, 300.0, 1.0) + smooth,
        "inverse": 1 / (1 + y + 0.3 * x),
    }


@pytest.mark.parametrize("name", surfaces())
@pytest.mark.parametrize(("window", "camera"), [(11, PinholeCamera()), (5, PinholeCamera(fov=50, sensor=(1280, 1024)))])
def test_normals_equal_the_eigenvectors_of_a_solver(name, window, camera):
    depth = surfaces()[name].astype(np.float32)
    expected, gap = slow_normals(depth, camera, window)
    found = plane_normals(depth, camera, window)
    np.testing.assert_array_equal(np.isnan(found), np.isnan(expected))
    there = gap > 1e-6  # below that the points lie on a line, to the last digits, and no plane is the best
    assert there.mean() > 0.4
    cosine = (found[there].astype(float) * expected[there]).sum(axis=-1)
    sine = np.linalg.norm(np.cross(found[there].astype(float), expected[there]), axis=-1)
    assert np.degrees(np.arctan2(sine, cosine)).max() < 0.05


@pytest.mark.parametrize("normal", [(0, 0, 1), (0, 0.9, 0.3), (-0.5, 0.4, 0.6), (0.7, 0, 0.7)])
@pytest.mark.parametrize("scale", [1e-3, 1.0, 250.0])
def test_a_plane_has_one_normal_whatever_its_scale(normal, scale):
    camera, (height, width) = PinholeCamera(), (60, 80)
    unit = np.array(normal) / np.linalg.norm(normal)
    fx, fy = camera.focal_lengths(height, width)
    v, u = np.mgrid[:height, :width]
    ahead = unit[0] * (u - width / 2) / fx + unit[1] * (v - height / 2) / fy + unit[2]
    depth = np.where(ahead > 0.2, scale / ahead, np.nan).astype(np.float32)
    found = plane_normals(depth, camera)
    seen = ~np.isnan(depth)
    assert np.degrees(np.arccos(np.clip(found[seen] @ unit, -1, 1))).max() < 0.1  # float32 depth is not quite a plane
    assert np.isnan(found[~seen]).all()


def test_points_that_are_one_have_no_normal():
    assert np.isnan(plane_normals(np.zeros((20, 30), np.float32), PinholeCamera())).all()
    assert np.isnan(plane_normals(np.full((20, 30), np.nan, np.float32), PinholeCamera())).all()


def test_a_normals_kind_takes_the_pipelines_camera():
    depth = surfaces()["noisy"].astype(np.float32)
    found = checked(opened("plane_normals", [DEPTH], window=7), [depth])
    np.testing.assert_array_equal(found, plane_normals(depth, PinholeCamera(), 7))
    assert np.abs(found - plane_normals(depth, PinholeCamera(fov=40), 7)).max() > 0.01


# Flow

RGB = Task("rgb", "modality", channels=3, range=(0.0, 255.0))


def photograph(rng, size=(96, 128)):
    texture = ndimage.gaussian_filter(rng.normal(size=(*size, 3)), (2, 2, 0))
    return np.clip(128 + 250 * texture, 0, 255).astype(np.uint8)


@pytest.mark.parametrize("move", [(3, 0), (0, -4), (-5, 2), (0, 0)])
def test_flow_is_what_a_search_of_all_displacements_finds(move):
    here = photograph(np.random.default_rng(8))
    there = np.roll(here, (move[1], move[0]), axis=(0, 1))
    found = checked(opened("flow_dis", [RGB]), [here, there])
    inner = np.s_[24:-24, 24:-24]
    costs = {
        (dx, dy): np.abs(np.roll(there, (-dy, -dx), axis=(0, 1))[inner].astype(int) - here[inner]).mean()
        for dx in range(-6, 7)
        for dy in range(-6, 7)
    }
    best = min(costs, key=costs.get)
    assert best == move
    assert np.abs(found[inner] - best).max() < 0.5


def test_flow_follows_two_things_that_move_apart():
    rng = np.random.default_rng(9)
    back, thing = photograph(rng), photograph(rng)
    here, there = back.copy(), np.roll(back, 2, axis=1)
    here[30:66, 40:88], there[33:69, 40:88] = thing[:36, :48], thing[:36, :48]
    found = opened("flow_dis", [RGB]).compute([here, there])
    assert np.abs(np.median(found[40:56, 52:76], axis=(0, 1)) - [0, 3]).max() < 0.3
    assert np.abs(np.median(found[:20, 20:-20], axis=(0, 1)) - [2, 0]).max() < 0.3


# What does not fit

WRONG = [
    ("vote", VOTERS, {"members": {**MEMBERS, "a": ["houses"]}}, "no class 'houses'", "house"),
    ("vote", VOTERS, {"members": {"a": []}}, "members names a", "each of the maps"),
    ("vote", VOTERS, {"members": MEMBERS, "least": 4}, "4 of 3 maps", None),
    ("vote", [DEPTH], {"members": {"d": []}}, "not from d (depth)", None),
    ("map_classes", [semantic("a")], {"classes": NEW}, "'tree' of 'a' becomes none", "ignore"),
    ("map_classes", [semantic("a")], {"classes": NEW, "rest": "airs"}, "rest is no new class", "air"),
    ("map_classes", [semantic("a")], {"classes": {**NEW, "x": ["sky"]}, "rest": "air"}, "'sky' is used twice", None),
    ("map_classes", [semantic("a")], {"classes": NEW, "rest": "air", "colours": [(0, 0, 0)]}, "one entry per", None),
    ("majority", VOTERS[:2], {}, "'b' has other classes than 'a'", "map_classes"),
    ("majority", VOTERS[:1], {}, "2 or more semantic maps", None),
    ("disagreement", [RGB, RGB], {}, "no disagreement", None),
    ("disagreement", [DEPTH, Task("e", "depth", range=(1, 9), unit="m")], {}, "metres", None),
    ("nearby", [DEPTH, Task("b", "binary")], {}, "binary, depth", None),
    ("safe_landing", [Task("n", "normals"), DEPTH, semantic("a")], {}, "not from n (normals), d (depth), a", None),
    ("plane_normals", [RGB], {}, "computed from depth", None),
    ("flow_dis", [Task("hsv", "modality", channels=3)], {}, "pictures of 8 bits", None),
]


@pytest.mark.parametrize(("kind", "tasks", "keys", "what", "fix"), WRONG)
def test_what_does_not_fit_is_named(kind, tasks, keys, what, fix):
    with pytest.raises(EdgekitError) as raised:
        opened(kind, tasks, **keys)
    assert what in raised.value.what
    assert raised.value.where.startswith("extract.tasks.x")
    assert fix is None or fix in raised.value.fix


def test_another_package_may_offer_one(tmp_path, monkeypatch):
    (tmp_path / "negatives-1.0.dist-info").mkdir()
    (tmp_path / "negatives-1.0.dist-info/METADATA").write_text("Metadata-Version: 2.1\nName: negatives\nVersion: 1.0\n")
    (tmp_path / "negatives-1.0.dist-info/entry_points.txt").write_text(
        "[edgekit.derivations]\nnegative = negatives:Negative\n"
    )
    (tmp_path / "negatives.py").write_text(
        "from typing import Literal\n"
        "from edgekit.data.derived.derivation import Derivation, DeriveCommon\n"
        "from edgekit.tasks import Task\n"
        "class Config(DeriveCommon):\n"
        "    derive: Literal['negative']\n"
        "class Negative(Derivation):\n"
        "    Config = Config\n"
        "    def __init__(self, config, needs):\n"
        "        self.task = Task('', 'binary')\n"
        "    def compute(self, maps):\n"
        "        return 1 - maps[0]\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    yes = np.eye(4, dtype=np.uint8)
    np.testing.assert_array_equal(opened("negative", [Task("b", "binary")]).compute([yes]), 1 - yes)

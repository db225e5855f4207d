"""The pipeline of Dronescapes' derived maps, extracted, against each rule written anew."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from ruamel.yaml import YAML

from edgekit.cli.main import main
from edgekit.frames.images import write_png

PIPELINE = Path(__file__).parents[2] / "examples" / "dronescapes" / "pipeline.yaml"
TASKS = YAML(typ="safe").load(PIPELINE.read_text())["extract"]["tasks"]
SEGMENTATIONS = ("m2f_mapillary_swin", "m2f_coco_swin", "m2f_mapillary_r50")
EIGHT = ["land", "forest", "residential", "road", "little-objects", "water", "sky", "hill"]
SIZE = (24, 32)


def classes_of(name: str) -> list[str]:
    return TASKS[name]["output"]["task"]["classes"]


@pytest.fixture(scope="module")
def tree(tmp_path_factory) -> tuple[Path, dict[str, np.ndarray]]:
    """The folder of the result of one frame, and what the experts predicted for it."""
    folder, rng = tmp_path_factory.mktemp("dronescapes"), np.random.default_rng(0)
    text = PIPELINE.read_text().replace("[540, 960]", str(list(SIZE)))
    (folder / "pipeline.yaml").write_text(text)
    write_png(folder / "films" / "f0.png", rng.integers(0, 256, (*SIZE, 3), dtype=np.uint8))
    said = {name: rng.integers(0, len(classes_of(name)), SIZE).astype(np.uint8) for name in SEGMENTATIONS}
    said[SEGMENTATIONS[2]][:, :20] = said[SEGMENTATIONS[0]][:, :20]  # so that two of them often agree
    ramp = np.linspace(0.1, 1.2, SIZE[0], dtype=np.float32)[::-1, None]
    said["depth_marigold"] = (ramp + rng.normal(0, 0.002, SIZE)).astype(np.float32)
    for name, array in said.items():
        (folder / "predicted" / name).mkdir(parents=True)
        np.savez(folder / "predicted" / name / "films_f0.npz", array)  # folder and name of the photograph
    assert main(["data", "extract", str(folder / "pipeline.yaml"), "--out", str(folder / "out")]) == 0
    return folder / "out", said


def made(out: Path, name: str) -> np.ndarray:
    (file,) = (out / "train_set" / name).rglob("*.npz")
    return np.load(file)["arr_0"].squeeze()


def votes(said: dict[str, np.ndarray], members: dict[str, list[str]]) -> np.ndarray:
    """By names, pixel by pixel: how many of the three have one of their members."""
    count = np.zeros(SIZE, int)
    for name, chosen in members.items():
        names = np.array(classes_of(name))[said[name]]
        count += np.vectorize(lambda one, chosen=frozenset(chosen): one in chosen)(names)
    return count


def test_there_are_fourteen(tree):
    out, _ = tree
    derived = [name for name, task in TASKS.items() if "derive" in task]
    assert len(derived) == 14
    assert all((out / "train_set" / name).is_dir() for name in derived)


@pytest.mark.parametrize(
    ("task", "segmentation", "members", "others"),
    [
        ("buildings", 0, ["Building", "Wall"], ["Road", "Sky"]),
        ("buildings", 1, ["house", "roof"], ["road"]),
        ("sky-and-water", 1, ["sea", "river"], ["sand"]),
        ("vegetation", 2, ["Vegetation", "Terrain"], ["Building"]),
        ("transportation", 0, ["Road", "Bridge", "Boat"], ["Water"]),
        ("safe", 1, ["grass-merged", "road"], ["sea", "person"]),
    ],
)
def test_classes_are_where_one_looks_for_them(task, segmentation, members, others):
    found = TASKS[task]["members"][SEGMENTATIONS[segmentation]]
    assert set(members) <= set(found) and set(found).isdisjoint(others)


@pytest.mark.parametrize("name", ["buildings", "sky-and-water", "transportation", "containing", "vegetation", "safe"])
def test_two_of_three_vote(tree, name):
    out, said = tree
    expected = votes(said, TASKS[name]["members"]) >= 2
    assert 0 < expected.mean() < 1 and (made(out, name) == expected).all()


def test_what_is_near_and_where_to_land(tree):
    out, said = tree
    depth = said["depth_marigold"]
    near = (votes(said, TASKS["buildings"]["members"]) >= 2) & (depth <= np.float32(0.3))
    assert near.any() and (made(out, "buildings(nearby)") == near).all()
    v = made(out, "normals_svd(depth_marigold)").astype(np.float64)  # Dronescapes' files hold (n + 1) / 2
    assert v.min() >= 0 and v.max() <= 1
    level = (v[..., 1] > 0.8) & (v[..., 0] + v[..., 2] < 1.2) & (depth <= np.float32(0.9))
    plain, safe = made(out, "safe-landing-no-sseg"), made(out, "safe-landing-semantics")
    assert (
        0.01 < level.mean() < 0.99 and (plain == level).mean() > 0.99
    )  # normals lie there rounded to float16, and are derived from before that
    assert (safe == (plain & made(out, "safe"))).all()


def eight(said: dict[str, np.ndarray], segmentation: str, mapped: str) -> np.ndarray:
    """Index among the eight: the list that names the class, and residential for what no list names."""
    lists = TASKS[mapped]["classes"]
    of = {old: EIGHT.index(new) for new, names in lists.items() for old in names}
    names = np.array(classes_of(segmentation))[said[segmentation]]
    return np.vectorize(lambda one: of.get(one, EIGHT.index("residential")))(names)


def test_eight_classes_and_the_majority_of_three(tree):
    out, said = tree
    mapped = ("eight_mapillary_swin", "eight_coco_swin", "eight_mapillary_r50")
    maps = [eight(said, segmentation, name) for segmentation, name in zip(SEGMENTATIONS, mapped, strict=True)]
    for name, expected in zip(mapped, maps, strict=True):
        assert (made(out, name) == expected).all()
    majority = made(out, "semantic_output")
    for place in np.ndindex(*SIZE):
        counted = Counter(int(one[place]) for one in maps)
        most = max(counted.values())
        assert majority[place] == min(index for index, count in counted.items() if count == most)

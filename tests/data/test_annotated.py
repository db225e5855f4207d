"""Frames of one source with the labels that another has of some of them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from edgekit.data.check import check_source
from edgekit.data.frameset import FrameSet
from edgekit.errors import EdgekitError
from edgekit.pipeline.workbench import open_data
from edgekit.recipe.load import dump, load_recipe, recipe_hash
from edgekit.recipe.schema import Fold, Recipe

HEIGHT, WIDTH = 600, 800  # more pixels than a folder of pictures is read at unasked
NAMES = {"train_set": ["flight_000000", "flight_000004", "flight_000008"], "validation_set": ["other_000000"]}


@pytest.fixture
def flights(tmp_path: Path) -> Path:
    """Films as `edgekit data extract` leaves them: rgb, and an expert's depth."""
    rng = np.random.default_rng(0)
    for folder, names in NAMES.items():
        for name in names:
            for task, array in {
                "rgb": rng.integers(0, 256, (HEIGHT, WIDTH, 3)).astype(np.uint8),
                "depth_marigold": rng.random((HEIGHT, WIDTH, 1)).astype(np.float32),
            }.items():
                path = tmp_path / "flights" / folder / task / f"{name}.npz"
                path.parent.mkdir(parents=True, exist_ok=True)
                np.savez(path, arr_0=array)
    return tmp_path


def draw(folder: Path, name: str, *, drawn: bool = True, size: tuple[int, int] = (HEIGHT, WIDTH)) -> np.ndarray:
    """A frame as it went to the annotator, with a roof in LabelMe's JSON; the label by hand."""
    folder.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size[::-1]).save(folder / f"{name}.png")
    top, left, bottom, right = 7, 11, size[0] // 2 + 1, size[1] // 3
    shape = {"label": "roof", "points": [[left, top], [right, bottom]], "shape_type": "rectangle"}
    told = {"shapes": [shape], "imageHeight": size[0], "imageWidth": size[1]}
    if drawn:
        (folder / f"{name}.json").write_text(json.dumps(told))
    label = np.zeros(size, np.uint8)
    label[top:bottom, left:right] = 1
    return label


def recipe(base: Path, labels: dict | None = None, frames: dict | None = None, **changes) -> Recipe:
    labels = {"source": "labelme", "root": "to_label", "class_names": ["roof"]} | (labels or {})
    frames = {"source": "dronescapes", "root": "flights", "labels": []} | (frames or {})
    written = {
        "name": "mine",
        "data": {"source": "annotated", "frames": frames, "labels": labels},
        "tasks": {"semantic": {}},
        "evaluate": {"split": "train"},
    } | changes
    (base / "mine.yaml").write_text(yaml.safe_dump(written))
    return load_recipe(Recipe, base / "mine.yaml")


def refusal(base: Path, **changes) -> EdgekitError:
    with pytest.raises(EdgekitError) as caught:
        source = open_data(recipe(base, **changes), base)
        for split in source.splits():
            for frame in source.frames(split):
                source.read(frame, source.tasks)
    return caught.value


def test_frames_with_a_label_are_labelled_to_the_pixel(flights):
    drawn = {name: draw(flights / "to_label", name) for name in ("flight_000004", "other_000000")}
    draw(flights / "to_label", "flight_000008", drawn=False)
    source = open_data(recipe(flights), flights)
    assert source.splits() == ("train", "val") and source.sequential
    assert source.tasks["semantic"].classes == ("background", "roof") and "depth_marigold" in source.tasks
    labelled = {frame.name: frame for split in source.splits() for frame in source.frames(split) if frame.labelled}
    assert labelled.keys() == drawn.keys()
    for names in (["semantic"], ["semantic", "rgb", "depth_marigold"]):  # the frame's size is known either way
        for name, frame in labelled.items():
            maps = source.read(frame, names)
            assert maps.keys() == set(names)
            np.testing.assert_array_equal(maps["semantic"], drawn[name])
    other = source.frames("train")[2]
    assert not other.labelled and source.read(other, ["rgb", "semantic"]).keys() == {"rgb"}
    report = check_source(source, "error")
    assert {name: split.labelled for name, split in report.splits.items()} == {"train": 1, "val": 1}


def test_labels_of_the_films_own_size_are_made_as_small_as_the_frames(flights):
    """Annotators get the camera's pictures, the pipeline has frames of half their sides."""
    large = draw(flights / "to_label", "flight_000000", size=(2 * HEIGHT, 2 * WIDTH))
    source = open_data(recipe(flights), flights)
    found = source.read(source.frames("train")[0], ["semantic"])["semantic"]
    assert found.shape == (HEIGHT, WIDTH)
    there = np.argwhere(found == 1)
    expected = np.argwhere(large == 1) / 2
    np.testing.assert_allclose([there.min(0), there.max(0)], [expected.min(0), expected.max(0)], atol=1)
    assert (found == 1).sum() == pytest.approx((large == 1).sum() / 4, rel=0.01)


def test_folders_of_splits_and_other_sources_of_labels(flights):
    """Index PNGs in folders named as splits; which split of the labels a frame is in does not count."""
    for split, name in (("val", "flight_000000"), ("train", "other_000000")):
        for kind in ("images", "labels"):
            folder = flights / "drawn" / split / kind
            folder.mkdir(parents=True)
            Image.new("L" if kind == "labels" else "RGB", (WIDTH, HEIGHT), 1 if kind == "labels" else None).save(
                folder / f"{name}.png"
            )
    told = {"source": "image_folder", "root": "drawn", "class_names": ["ground", "roof"]}
    source = open_data(recipe(flights, told), flights)
    frames = {frame.name: frame for split in source.splits() for frame in source.frames(split)}
    assert [name for name, frame in frames.items() if frame.labelled] == ["flight_000000", "other_000000"]
    assert (source.read(frames["other_000000"], ["semantic"])["semantic"] == 1).all()


def test_labels_come_beside_those_that_the_frames_have(flights):
    """Depth of an expert is the label of every frame, classes those of the annotator."""
    draw(flights / "to_label", "flight_000004")
    tasks = {"semantic": {}, "depth_marigold": {}}
    frames = {"labels": ["depth_marigold"]}
    source = open_data(recipe(flights, frames=frames, tasks=tasks), flights)
    train = FrameSet(source).frames("train")
    assert all(frame.labelled for frame in train)
    assert [sorted(source.read(frame, tasks)) for frame in train] == [
        ["depth_marigold"],
        ["depth_marigold", "semantic"],
        ["depth_marigold"],
    ]


def test_the_key_changes_with_a_label_and_with_a_frame(flights):
    draw(flights / "to_label", "flight_000004")
    before = open_data(recipe(flights), flights).fingerprint()
    assert open_data(recipe(flights), flights).fingerprint() == before
    draw(flights / "to_label", "flight_000000")
    more = open_data(recipe(flights), flights).fingerprint()
    (flights / "flights/train_set/rgb/flight_000008.npz").unlink()
    assert len({before, more, open_data(recipe(flights), flights).fingerprint()}) == 3


def test_a_recipe_is_read_back_as_it_was_and_its_parts_are_set(flights):
    wanted = recipe(flights, {"labelled": "all"}, {"film": False})
    (flights / "again.yaml").write_text(dump(wanted))
    assert load_recipe(Recipe, flights / "again.yaml") == wanted
    changed = load_recipe(Recipe, flights / "mine.yaml", ["data.labels.root=elsewhere", "data.frames.film=true"])
    assert str(changed.data.labels.root) == "elsewhere" and changed.data.frames.film is True
    assert recipe_hash(changed.trained()) != recipe_hash(wanted.trained())


def test_a_part_of_the_labels_is_held_back_to_score_on(flights):
    """Where only frames to train on were drawn."""
    for name in NAMES["train_set"]:
        draw(flights / "to_label", name)
    error = refusal(flights, evaluate={"split": "val"})
    assert "no frame of 'val' is labelled" in error.what and "data.fold" in error.fix
    held = recipe(flights, evaluate={"split": "val"})
    held = held.model_copy(update={"data": held.data.model_copy(update={"fold": Fold(index=0, of=3)})})
    frames = FrameSet(open_data(held, flights), fold=(0, 3))
    assert {split: [f.name for f in frames.frames(split) if f.labelled] for split in ("train", "val")} == {
        "train": NAMES["train_set"][1:],
        "val": NAMES["train_set"][:1],
    }


def test_labels_of_other_frames_are_told(flights):
    for name in ("flight_000004", "else_000001", "else_000002"):
        draw(flights / "to_label", name)
    source = open_data(recipe(flights), flights)
    assert any("2 of 3 labels are of no frame" in note and "else_000001" in note for note in source.notes)


def test_what_does_not_fit_is_refused(flights):
    draw(flights / "to_label", "elsewhere")
    error = refusal(flights)
    assert "elsewhere" in str(error) and "flight_000000" in str(error) and error.where == "data.labels"
    (flights / "to_label/elsewhere.json").unlink()
    (flights / "to_label/elsewhere.png").unlink()
    error = refusal(flights, labels={"root": "nowhere"})
    assert "nowhere" in str(error) and error.where.startswith("data.labels.root")
    draw(flights / "to_label", "flight_000004", size=(HEIGHT, WIDTH - 12))
    error = refusal(flights)
    assert "1.31" in error.what and "1.33" in error.what and "flight_000004" in error.what
    draw(flights / "to_label", "flight_000004")
    tasks = {"semantic": {"kind": "semantic", "classes": ["a", "b"]}}
    for name in NAMES["train_set"]:
        path = flights / "flights/train_set/semantic" / f"{name}.npz"
        path.parent.mkdir(exist_ok=True)
        np.savez(path, arr_0=np.zeros((HEIGHT, WIDTH), np.uint8))
    assert "'semantic' already" in refusal(flights, frames={"tasks": tasks}).what
    with pytest.raises(EdgekitError, match="labelmee"):
        recipe(flights, {"source": "labelmee"})
    with pytest.raises(EdgekitError, match="rooot"):
        recipe(flights, {"rooot": "x"})

"""From films to maps: every frame right, every map what its expert or its definition says, and read by others."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch

from edgekit.cli.main import main
from edgekit.data.derived.derivation import PinholeCamera
from edgekit.data.derived.normals import plane_normals
from edgekit.data.dronescapes import Dronescapes, DronescapesConfig
from edgekit.data.modalities import COMPUTED
from edgekit.errors import EdgekitError
from edgekit.extract.show import show
from edgekit.extract.status import status, verify
from edgekit.frames.images import write_png
from edgekit.networks.hub_imports import import_transformers
from edgekit.tasks import kind_of


def test_every_map_of_every_frame_is_there(work):
    done = work.run()
    assert done.frames == 8 and not done.failed
    assert set(done.written.values()) == {8, 6} and done.written["flow"] == 6  # the last of a film has none
    again = work.run()
    assert again.kept == done.written and not again.written


@pytest.mark.parametrize("count", [350])
def test_frames_have_their_numbers(work, film, frames_of, spelled, stored, count):
    film(work.base / "long.mp4", frames_of(count, seed=3))
    work.sets, work.tasks = "{train_set: [long.mp4]}", ""
    work.run()
    names = [f"long_{number:06d}" for number in range(count)]
    assert sorted(p.stem for p in (work.out / "train_set/rgb").iterdir()) == names
    wrong = [n for i, n in enumerate(names) if spelled(stored(work.out, "train_set", "rgb", n)) != i]
    assert wrong == []


@pytest.mark.parametrize(
    ("keys", "numbers"),
    [
        ("  every: 2\n", [0, 2, 4]),
        ("  frames: [3, 1]\n", [1, 3]),
        ("  fps: 12\n", [0, 3]),  # of 25 a second: the first frame of each twelfth
        ("  fps: 100\n", [0, 1, 2, 3, 4]),
        ("  every: 4\n  size: [24, 48]\n", [0, 4]),
    ],
)
def test_frames_are_chosen(work, spelled, stored, keys, numbers):
    work.sets, work.keys, work.tasks = "{train_set: [a.mp4]}", keys, "\n    flow: {derive: flow_dis, of: rgb}"
    if "size" in keys:
        work.tasks = ""
    work.run()
    names = sorted(p.stem for p in (work.out / "train_set/rgb").iterdir())
    assert names == [f"a_{number:06d}" for number in numbers]
    found = [stored(work.out, "train_set", "rgb", name) for name in names]
    if "size" in keys:
        assert {x.shape for x in found} == {(24, 48, 3)}
    else:
        assert [spelled(x) for x in found] == numbers
        assert sorted(p.stem for p in (work.out / "train_set/flow").iterdir()) == names[:-1]


def test_experts_and_derived_maps_are_what_they_say(work, stored):
    work.run()

    def read(task, name="a_000003"):
        return stored(work.out, "train_set", task, name)

    rgb = read("rgb")
    x = (rgb.astype(np.float32) / 255).transpose(2, 0, 1)[None]

    def answer(name):
        return onnxruntime.InferenceSession(work.base / f"{name}.onnx").run(None, {"x": x})[0][0]

    a, b = answer("seg_a").argmax(axis=0), answer("seg_b").argmax(axis=0)
    np.testing.assert_array_equal(read("seg_a"), a)  # computed three frames at a time
    np.testing.assert_array_equal(read("seg_b"), b)
    depth = read("depth")
    assert depth.dtype == np.float32 and depth.shape == (48, 96, 1)
    np.testing.assert_allclose(depth[..., 0], answer("depth")[0], atol=1e-6)
    np.testing.assert_allclose(read("hsv"), COMPUTED["hsv"].compute(rgb), atol=1e-3)
    built = (a == 1) | (b == 1) | (b == 2)
    np.testing.assert_array_equal(read("built"), built)
    np.testing.assert_array_equal(read("built(nearby)"), built & (depth[..., 0] <= np.float32(0.5)))
    np.testing.assert_array_equal(read("two"), np.where(a == 0, 0, 1))
    np.testing.assert_array_equal(read("semantic_output"), np.minimum(a, b))
    np.testing.assert_allclose(read("unsure")[..., 0], np.where(a == b, 0, 0.5))
    normals = read("normals_svd(depth)")
    np.testing.assert_allclose(np.linalg.norm(normals.astype(float) * 2 - 1, axis=-1), 1, atol=5e-3)
    of_whole, of_rounded = (
        ((plane_normals(d[..., 0].astype(np.float32), PinholeCamera(), 5) + 1) / 2).astype(np.float16)
        for d in (depth, depth.astype(np.float16))
    )
    np.testing.assert_array_equal(normals, of_whole)  # of the depth before it is rounded
    assert (normals != of_rounded).mean() > 0.01
    flow = read("flow").astype(float)
    assert np.abs(np.median(flow[20:-6, 10:-10], axis=(0, 1)) - [-2, -1]).max() < 0.5


def test_the_source_dronescapes_reads_it_unchanged(work):
    work.run()
    source = Dronescapes(DronescapesConfig(root=work.out), Path())
    assert source.splits() == ("train",) and source.sequential
    frames = source.frames("train")
    assert [(f.scene, f.index) for f in frames] == [("a", i) for i in range(5)] + [("b", i) for i in range(3)]
    assert not any(f.labelled for f in frames)
    assert source.tasks["seg_a"].classes == ("road", "house", "tree", "sky")
    for frame in frames:
        maps = source.read(frame, source.tasks)
        assert set(source.tasks) - set(maps) == ({"flow"} if frame.name in ("a_000004", "b_000002") else set())
        for name, array in maps.items():
            kind_of(source.tasks[name]).validate(source.tasks[name], array, name)


def read_as_the_contract_says(folder: Path, names: str = "letter") -> dict[str, dict[str, np.ndarray]]:
    """A reader of `MultiTaskDataset`'s layout: frames are the union of names, every visible folder holds npz."""
    found: dict[str, dict[str, np.ndarray]] = {}
    for task in sorted(p for p in folder.iterdir() if not p.name.startswith(".")):
        files = [f for f in task.rglob("*.npz") if not f.name.startswith(".") and not f.stem.endswith("_extra")]
        assert files, f"{task} holds no npz"
        for file in files:
            found.setdefault(file.stem, {})[task.name] = np.load(file)["arr_0"]
    # names that mix numbers and words are sorted by both: they must begin with a letter, or be numbers all of them
    assert all(name[0].isalpha() if names == "letter" else name == str(int(name)) for name in found)
    return dict(
        sorted(found.items(), key=lambda at: [int(t) if t.isdecimal() else t for t in re.split(r"(\d+)", at[0])])
    )


def test_a_reader_written_from_the_layouts_contract_reads_it(work):
    work.run()
    frames = read_as_the_contract_says(work.out / "train_set")
    assert list(frames) == [f"a_{i:06d}" for i in range(5)]
    for maps in frames.values():
        assert maps["rgb"].dtype == np.uint8 and maps["rgb"].shape == (48, 96, 3)
        assert maps["built"].dtype == bool and maps["built"].shape == (48, 96)
        assert maps["seg_a"].dtype == np.uint8 and maps["seg_a"].max() < 4
        assert maps["normals_svd(depth)"].min() >= 0 and maps["normals_svd(depth)"].max() <= 1


def test_the_layout_of_vre_is_an_output_of_it_for_each_film(work, frames_of, spelled):
    """`<out>/<representation>/npz/<integer>.npz`, whose reader is that of the other layout."""
    for number in range(3):
        write_png(work.base / f"roofs/IMG_{number}.png", frames_of(9)[number + 4])
    work.sets = "{train_set: [a.mp4, b.mp4, roofs], validation_set: [roofs2]}"
    (work.base / "roofs").rename(work.base / "roofs2")
    write_png(work.base / "roofs/x.png", frames_of(9)[8])
    work.run()
    usual, vre = work.out, work.base / "vre"
    assert work.run(vre, layout="vre").failed == []
    assert sorted(str(p.relative_to(vre)) for p in vre.glob("*/*")) == [
        ".edgekit/films", ".edgekit/plan.json", ".edgekit/rates",
        "train_set/a", "train_set/b", "train_set/roofs", "validation_set/roofs2",
    ]  # fmt: skip
    for folder, film, count in (("train_set", "a", 5), ("train_set", "b", 3), ("validation_set", "roofs2", 3)):
        frames = read_as_the_contract_says(vre / folder / film, "number")
        assert list(frames) == [str(i) for i in range(count)]
        same = read_as_the_contract_says(usual / folder)
        for number, maps in frames.items():
            other = same[f"{film}_IMG_{number}" if film == "roofs2" else f"{film}_{int(number):06d}"]
            assert maps.keys() == other.keys()
            for task in maps:
                np.testing.assert_array_equal(maps[task], other[task])
    with np.load(vre / "validation_set/roofs2/rgb/npz/2.npz") as file:
        assert file.files == ["arr_0"] and spelled(file["arr_0"]) == 6


def test_the_layout_of_vre_is_read_continued_and_looked_at(work):
    work.sets = "{train_set: [a.mp4, b.mp4]}"
    whole = work.run(layout="vre")
    splits = {"train": ["train_set/a", "train_set/b"]}
    source = Dronescapes(DronescapesConfig(root=work.out, splits=splits), Path())
    assert [f.index for f in source.frames("train")] == [0, 1, 2, 3, 4, 0, 1, 2]
    assert len({f.scene for f in source.frames("train")}) == 2
    alone = Dronescapes(DronescapesConfig(root=work.out, splits={"val": ["train_set/b"]}), Path()).frames("val")
    assert [(f.name, f.scene, f.index) for f in alone] == [(str(i), "train_set/b", i) for i in range(3)]
    told = DronescapesConfig(root=work.out, splits={"val": ["train_set/b"]}, scene_regex=".")
    assert [f.scene for f in Dronescapes(told, Path()).frames("val")] == ["0", "1", "2"]
    assert source.tasks["seg_a"].classes == ("road", "house", "tree", "sky")
    assert status(work.out).complete and verify(work.out).files == sum(whole.written.values())
    tree = work.tree()
    path = work.out / "train_set/a/depth/npz/3.npz"
    path.write_bytes(path.read_bytes()[:-99])
    (work.out / "train_set/b/seg_a/npz/0.npz").unlink()
    found = {film: counts for (_, film), counts in status(work.out).cells.items()}
    assert (found["a"]["depth"].stale, found["b"]["seg_a"].missing) == (1, 1)
    assert list(verify(work.out).bad) == [str(path)] and "rgb" in show(work.out)
    np.savez(work.out / "train_set/a/depth/npz/77.npz", np.zeros(3))
    assert status(work.out).extra == 1
    (work.out / "train_set/a/depth/npz/77.npz").unlink()
    assert work.run(layout="vre").written == {"depth": 1, "seg_a": 1} and work.tree() == tree
    with pytest.raises(EdgekitError, match="layout is vre, and not dronescapes"):
        work.run()
    assert work.tree() == tree


def test_photographs_keep_their_names(work, frames_of, spelled, stored):
    folder = work.base / "9 roofs"
    for number, name in enumerate(["IMG_2", "IMG_10", "porch (left)"]):
        write_png(folder / f"{name}.png", frames_of(9)[number])
    (folder / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 nothing more")
    work.sets = "{train_set: ['9 roofs']}"
    done = work.run()
    assert [(f.frame, f.task) for f in done.failed] == [("film-9-roofs_broken", "rgb")]
    assert [f.frame for f in work.run().failed] == ["film-9-roofs_broken"]
    names = ["film-9-roofs_IMG_10", "film-9-roofs_IMG_2", "film-9-roofs_porch_left"]
    assert sorted(p.stem for p in (work.out / "train_set/rgb").iterdir()) == names
    assert [spelled(stored(work.out, "train_set", "rgb", n)) for n in names] == [1, 0, 2]
    assert not (work.out / "train_set/flow").exists()  # photographs are no moments of a film
    work.keys = "  film: true\n"
    assert work.run().written["flow"] == 1  # from IMG_2 to IMG_10, behind which comes the broken one


def test_flow_between_photographs_follows_what_comes_next(work, frames_of):
    """A photograph between two others, and one that is replaced, make the flow before it another."""
    pictures, folder = frames_of(9), work.base / "roofs"
    for name, i in (("IMG_1", 0), ("IMG_3", 2), ("IMG_4", 3)):
        write_png(folder / f"{name}.png", pictures[i])
    work.sets, work.keys = "{train_set: [roofs]}", "  film: true\n"
    work.tasks = "\n    flow: {derive: flow_dis, of: rgb}"
    assert work.run().written == {"rgb": 3, "flow": 2}
    write_png(folder / "IMG_2.png", pictures[1])
    assert work.run().written == {"rgb": 1, "flow": 2} and status(work.out).complete
    os.utime(folder / "IMG_3.png", (1, 1))  # as another file of the same name
    assert work.run().written == {"rgb": 1, "flow": 2} and status(work.out).complete
    work.run(work.base / "fresh")
    assert work.tree() == work.tree(work.base / "fresh")


def test_a_broken_photograph_that_is_taken_away_is_no_failure_any_more(work, frames_of):
    pictures, folder = frames_of(9), work.base / "roofs"
    for i in range(3):
        write_png(folder / f"IMG_{i}.png", pictures[i])
    (folder / "IMG_2.png").write_bytes((folder / "IMG_2.png").read_bytes()[:100])
    work.sets, work.tasks = "{train_set: [roofs]}", "\n    hsv: {computed: hsv}"
    assert len(work.run().failed) == 1 and not status(work.out).complete
    (folder / "IMG_2.png").unlink()
    assert work.run().failed == [] and status(work.out).complete


@pytest.mark.parametrize("ending", ["ts", "MTS", "mpg", "mp4"])
def test_films_of_recorders_in_a_folder_are_found(work, ending):
    (work.base / "films").mkdir()
    shutil.copy(work.base / "a.mp4", work.base / f"films/flight.{ending}")  # what is inside decides how it is read
    (work.base / "films/notes.txt").write_text("no film")
    work.sets, work.tasks = "{train_set: [films/]}", ""
    assert work.run().written == {"rgb": 5}


def test_predictions_on_disk_are_an_expert_too(work, stored):
    said = np.random.default_rng(0).integers(0, 3, (5, 48, 96)).astype(np.uint8)
    for i, array in enumerate(said[:3]):
        path = work.base / f"predicted/seg/a_{i:06d}.npz"
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savez(path, array)
    work.sets = "{train_set: [a.mp4]}"
    work.tasks = """
    seg:
      expert: {kind: npz, folders: [predicted], missing: skip}
      output: {task: {kind: semantic, classes: [x, y, z]}}
    """
    done = work.run()
    assert done.written["seg"] == 3 and not done.failed
    np.testing.assert_array_equal(stored(work.out, "train_set", "seg", "a_000002"), said[2])
    work.tasks = work.tasks.replace(", missing: skip", "")
    assert [f.frame for f in work.run().failed] == ["a_000003", "a_000004"]


def test_experts_know_photographs_by_their_names_in_either_layout(work, frames_of):
    said = np.random.default_rng(0).integers(0, 3, (2, 48, 96)).astype(np.uint8)
    for number, name in enumerate(["IMG_5", "IMG_7"]):
        write_png(work.base / f"roofs/{name}.png", frames_of(9)[number])
        path = work.base / f"predicted/seg/roofs_{name}.npz"
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savez(path, said[number])
    work.sets = "{train_set: [roofs]}"
    work.tasks = """
    seg: {expert: {kind: npz, folders: [predicted]}, output: {task: {kind: semantic, classes: [x, y, z]}}}
    """
    for layout, files in (("vre", "train_set/roofs/seg/npz/{i}"), ("dronescapes", "train_set/seg/roofs_IMG_{name}")):
        out = work.base / f"as-{layout}"
        assert work.run(out, layout=layout).failed == []
        for i, name in enumerate((5, 7)):
            with np.load(out / (files.format(i=i, name=name) + ".npz")) as file:
                np.testing.assert_array_equal(file["arr_0"], said[i])


def test_networks_of_transformers_say_themselves_what_their_maps_are(work, stored):
    try:
        library = import_transformers("here")
    except EdgekitError as error:
        pytest.skip(f"{error.what} (edgekit[experts])")
    config = library.SegformerConfig(
        depths=[1] * 4, hidden_sizes=[8] * 4, num_attention_heads=[1] * 4, decoder_hidden_size=8, mlp_ratios=[1] * 4,
        id2label={0: "land", 1: "water", 2: "sky"},
    )  # fmt: skip
    network = library.SegformerForSemanticSegmentation(config).eval()
    torch.manual_seed(0)
    for value in network.parameters():  # as they begin, all classes are alike
        value.data.add_(0.3 * torch.randn_like(value))
    prepare = library.SegformerImageProcessor(size={"height": 48, "width": 96})
    for part in (network, prepare):
        part.save_pretrained(work.base / "net")
    work.sets = "{train_set: [a.mp4]}"
    work.tasks = """
    seen: {expert: {kind: transformers, task: semantic, model: net}, batch: 2}
    wet: {derive: vote, of: [seen], members: {seen: [water]}}
    """
    done = work.run()
    assert done.written == {"rgb": 5, "seen": 5, "wet": 5} and not done.failed
    rgb, seen = (stored(work.out, "train_set", task, "a_000002") for task in ("rgb", "seen"))
    with torch.no_grad():
        logits = network(**prepare(images=[rgb], return_tensors="pt")).logits.softmax(dim=1)
    shares = torch.nn.functional.interpolate(logits, (48, 96), mode="bilinear")[0]
    first, second = shares.topk(2, dim=0).values
    clear = (first - second > 1e-5).numpy()
    np.testing.assert_array_equal(seen[clear], shares.argmax(dim=0).numpy()[clear])
    np.testing.assert_array_equal(stored(work.out, "train_set", "wet", "a_000002"), seen == 1)
    assert clear.mean() > 0.9 and work.run().written == {}


def test_the_command_tries_again_what_failed(work, capsys):
    """Noted frames are passed over by the command, and tried again with --retry-failed."""
    work.sets = "{train_set: [a.mp4]}"
    work.tasks = """
    seg: {expert: {kind: npz, folders: [predicted]}, output: {task: {kind: semantic, classes: [x, y, z]}}}
    """
    for i in range(5):
        path = work.base / f"predicted/seg/a_{i:06d}.npz"
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savez(path, np.full((48, 96), 0 if i != 2 else 7, np.uint8))  # there is no class 7
    again = [work.pipeline, "--out", work.out, "--json"]

    def run(*more):
        code = main(["data", "extract", *map(str, again), *more])
        done = json.loads(capsys.readouterr().out)
        return code, done["tasks"]["seg"]["written"], [f["frame"] for f in done["failed"]]

    assert run() == (1, 4, ["a_000002"])
    about = (work.base / "predicted/seg/a_000002.npz").stat()
    np.savez(work.base / "predicted/seg/a_000002.npz", np.full((48, 96), 2, np.uint8))
    os.utime(work.base / "predicted/seg/a_000002.npz", ns=(about.st_atime_ns, about.st_mtime_ns))  # nothing tells
    assert run() == (1, 0, ["a_000002"])
    assert run("--retry-failed") == (0, 1, [])


def test_the_command_prints_what_it_did(work, capsys):
    assert main(["data", "extract", str(work.pipeline), "--out", str(work.out), "--json"]) == 0
    done = json.loads(capsys.readouterr().out)
    assert done["frames"] == 8 and done["tasks"]["depth"]["written"] == 8 and done["failed"] == []
    assert main(["data", "extract", str(work.pipeline), "--out", str(work.out), "--set", "extract.every=2"]) == 0
    shown = capsys.readouterr().out
    assert re.search(r"depth +0 written, 5 there already", shown)
    assert re.search(r"flow +3 written, 0 there already", shown)  # to another frame than before
    assert main(["data", "extract", str(work.pipeline), "--out", str(work.out), "--shard", "3/2"]) == 2


@pytest.mark.parametrize(
    ("more", "what"),
    [
        (["--engine", "spark"], "is not ray"),
        (["--engine", "ray", "--shard", "1/2"], "leave --shard out"),
        (["--engine", "ray"], "pip install 'edgekit[ray]'"),
    ],
)
def test_an_engine_that_is_not_there(work, monkeypatch, capsys, more, what):
    monkeypatch.setitem(sys.modules, "ray", None)
    assert main(["data", "extract", str(work.pipeline), "--out", str(work.out), *more]) == 2
    assert what in capsys.readouterr().err and not work.out.exists()


def test_a_film_that_cannot_be_opened_is_noted_and_the_others_go_on(work, capsys):
    (work.base / "broken.mp4").write_bytes(b"\0\0\0\x20ftypisom and nothing behind it")
    work.sets, work.tasks = "{train_set: [broken.mp4, b.mp4]}", ""
    for written in (3, 0):
        assert main(["data", "extract", str(work.pipeline), "--out", str(work.out), "--json"]) == 1
        done = json.loads(capsys.readouterr().out)
        assert done["tasks"]["rgb"]["written"] == written
        assert [(f["where"], f["film"]) for f in done["failed"]] == [("train_set/rgb/broken", "broken")]
    assert main(["data", "status", str(work.out)]) == 1
    assert "broken" in capsys.readouterr().out


DEPTH = "output: {task: {kind: depth}}"
WRONG = [
    ({"tasks": "x: {derive: plane_normals, of: deep}"}, "no map 'deep'", None),
    ({"tasks": "x: {derive: majority, of: [y, y]}\n    y: {derive: majority, of: [x, x]}"}, "in a circle", None),
    ({"tasks": "x: {computed: hsw}"}, '"hsw"', "did you mean 'hsv'"),
    ({"tasks": "x: {derive: vot, of: rgb}"}, '"vot"', "did you mean 'vote'"),
    ({"tasks": "x: {deriv: vote, of: rgb}"}, "one of the keys computed, expert, derive", None),
    ({"tasks": "x: {derive: plane_normals, of: rgb}"}, "computed from depth", None),
    ({"tasks": f"x: {{expert: {{kind: onnx, file: no.onnx}}, {DEPTH}}}"}, "'no.onnx' does not exist", "relative to"),
    ({"tasks": "x: {expert: {kind: onnx, file: depth.onnx}, output: {}}"}, "output.task says", None),
    ({"tasks": f"x: {{expert: {{kind: onnx, file: depth.onnx, role: member}}, {DEPTH}}}"}, "has no role", None),
    ({"tasks": f"x: {{expert: {{kind: expert}}, {DEPTH}}}"}, "the kind expert", None),
    ({"tasks": f"x: {{expert: {{kind: torch, function: 'm:f'}}, {DEPTH}}}"}, "wants to run code", "--allow-code"),
    ({"tasks": "rgb: {computed: hsv}"}, "rgb is the frame itself", None),
    ({"tasks": "../x: {computed: hsv}"}, "cannot name a file", None),
    ({"sets": "{train_set: [c.mp4]}"}, "no films or photographs in 'c.mp4'", "films end in .mp4"),
    ({"sets": "{train_set: [a.mp4], other: [a.mp4]}"}, "two films would be called 'a'", "rename"),
    ({"sets": "{train_set: []}"}, "at least one film", None),
    ({"keys": "  every: 2\n  fps: 2\n"}, "three ways", None),
    ({"keys": "  evry: 2\n"}, "unknown key 'evry'", "did you mean 'every'"),
    ({"keys": "  size: [0, 4]\n"}, "size.0 is 0", None),
]


@pytest.mark.parametrize(("change", "what", "fix"), WRONG)
def test_a_mistake_is_named_before_anything_is_written(work, change, what, fix):
    for key, value in change.items():
        setattr(work, key, f"\n    {value}" if key == "tasks" else value)
    with pytest.raises(EdgekitError) as raised:
        work.run()
    assert what in raised.value.what
    assert fix is None or fix in str(raised.value.fix)
    assert not work.out.exists()


def test_a_folder_that_holds_something_else_is_left_alone(work):
    work.out.mkdir()
    (work.out / "notes.txt").write_text("mine")
    with pytest.raises(EdgekitError, match=r"holds something else: notes\.txt"):
        work.run()
    assert [p.name for p in work.out.iterdir()] == ["notes.txt"]

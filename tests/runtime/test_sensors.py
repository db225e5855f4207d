"""Frames of several sensors: what may be given, how it reaches the inputs, and what stands for what is missing."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from PIL import Image

import edgekit
from edgekit.bundle.bundle import open_bundle
from edgekit.bundle.manifest import (
    SCHEMA,
    Artifact,
    Golden,
    Manifest,
    OutputTensor,
    Preprocessing,
    StudentInfo,
    Tensor,
)
from edgekit.bundle.write import write_bundle
from edgekit.cli.main import main
from edgekit.errors import EdgekitError
from edgekit.frames.images import write_png
from edgekit.runtime.given import FrameReader, frame_size
from edgekit.runtime.placement import FramePlacement
from edgekit.runtime.preprocess import Preprocessor
from edgekit.tasks import Task
from edgekit.tasks.modality import RGB

SIZE = (32, 48)
HEAT = Task("heat", "modality", channels=1, range=(200.0, 400.0))
NEAR = Task("near", "modality", channels=2, range=(0.0, 255.0))
PRE = Preprocessing(
    SIZE,
    "letterbox",
    pad=(300.5, 120, 125, 130, 40, 41),
    mean=(300.5, 120.2, 125.0, 130.0, 40.4, 41.0),
    std=(20.0, 60.0, 62.0, 64.0, 9.0, 8.0),
    modalities=(HEAT, RGB, NEAR),
    may_lack=("heat", "near"),
)
INPUTS = [
    Tensor("frames_heat", "float32", (1, *SIZE, 1)),
    Tensor("frames", "uint8", (1, *SIZE, 3)),
    Tensor("frames_near", "uint8", (1, *SIZE, 2)),
]
WHOLE = Tensor("input", "float32", (1, 6, *SIZE))
DEPTH = Task("depth", "depth", range=(0.0, 1.0))


def frame(size: tuple[int, int] = SIZE, seed: int = 0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {
        "rgb": rng.integers(0, 256, (*size, 3), dtype=np.uint8),
        "heat": rng.normal(300, 20, size).astype(np.float32),
        "near": rng.integers(0, 256, (*size, 2), dtype=np.uint8),
    }


def prepared(given: dict[str, np.ndarray], inputs=INPUTS) -> dict[str, np.ndarray]:
    batch = FrameReader(PRE).one(given)
    return dict(Preprocessor(PRE, inputs)(batch, FramePlacement.of(PRE, frame_size(batch), SIZE)))


def test_each_modality_goes_to_its_input_as_it_is():
    given = frame()
    found = prepared(given)
    assert list(found) == ["frames_heat", "frames", "frames_near"]
    np.testing.assert_array_equal(found["frames"][0], given["rgb"])
    np.testing.assert_array_equal(found["frames_heat"][0, ..., 0], given["heat"])
    np.testing.assert_array_equal(found["frames_near"][0], given["near"])


def test_the_cache_lane_gets_all_of_them_standardised_in_their_order():
    given = frame()
    planes = np.concatenate([given["heat"][..., None], given["rgb"], given["near"]], axis=2)
    expected = ((planes - np.array(PRE.mean)) / PRE.std).transpose(2, 0, 1)
    np.testing.assert_allclose(prepared(given, [WHOLE])["input"][0], expected, atol=1e-5)


@pytest.mark.parametrize("lacking", [("heat",), ("near",), ("heat", "near")])
def test_what_is_missing_standardises_to_about_zero(lacking):
    given = frame()
    whole, without = (
        prepared(g, [WHOLE])["input"][0] for g in (given, {k: given[k] for k in given if k not in lacking})
    )
    parts = {"heat": slice(0, 1), "rgb": slice(1, 4), "near": slice(4, 6)}
    for name, part in parts.items():
        if name in lacking:
            most = 0 if name == "heat" else 0.5 / min(PRE.std[part])  # levels are whole numbers
            assert np.abs(without[part]).max() <= most
        else:
            np.testing.assert_array_equal(without[part], whole[part])


def test_one_buffer_serves_frames_with_and_without_a_modality():
    accept, prepare = FrameReader(PRE), Preprocessor(PRE, INPUTS)
    for seed, (size, lacking) in enumerate(
        [((20, 48), ""), (SIZE, "near"), ((20, 48), ""), (SIZE, "heat"), (SIZE, "")]
    ):
        given = {name: array for name, array in frame(size, seed).items() if name != lacking}
        batch = accept.one(given)
        out = prepare(batch, FramePlacement.of(PRE, size, SIZE))
        fresh = prepared(given)
        for name, array in fresh.items():
            np.testing.assert_array_equal(out[name], array, err_msg=f"{seed} {name}")


def test_holes_become_the_mean_and_whole_numbers_of_16_bits_are_taken():
    given = frame()
    given["heat"][3:5, 7:9] = np.nan
    found = prepared(given)["frames_heat"][0, ..., 0]
    assert (found[3:5, 7:9] == np.float32(300.5)).all() and np.isfinite(found).all()
    assert np.isnan(given["heat"][3:5, 7:9]).all()  # the user's own array is not written to
    counts = np.arange(SIZE[0] * SIZE[1], dtype=np.uint16).reshape(SIZE) * 40
    np.testing.assert_array_equal(prepared(given | {"heat": counts})["frames_heat"][0, ..., 0], counts)


def test_a_sensor_of_lower_resolution_fills_the_same_part():
    given = frame((40, 60))  # shrunk into the input, 32×48
    given["heat"] = np.linspace(250, 350, 15, dtype=np.float32)[None].repeat(10, 0)  # 10×15
    found = prepared(given)["frames_heat"][0, ..., 0]
    assert found.shape == SIZE and (np.diff(found[5]) >= 0).all() and abs(found.mean() - 300) < 1e-3
    # pixel centres are half-integers: column c of the input is at (c + ½)·15/48 − ½
    place = (24.5 * 15 / 48) - 0.5
    assert found[5, 24] == pytest.approx(250 + place * 100 / 14, abs=1e-3)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (lambda f: f["rgb"], "sees heat, rgb, near, and this is one ndarray"),
        (lambda f: f | {"smell": f["rgb"]}, "does not see 'smell'"),
        (lambda f: {"heat": f["heat"]}, "no 'rgb', which the network sees"),
        (lambda f: {}, "no 'rgb'"),
        (lambda f: f | {"heat": f["rgb"][None]}, r"a frame is \(H, W\) numbers"),
        (lambda f: f | {"heat": f["heat"][..., None]}, "not of the same frames"),  # 32 frames of 48×1
        (lambda f: f | {"near": f["near"].astype(np.float32)}, r"a frame is \(H, W, 2\) uint8"),
        (lambda f: f | {"rgb": f["heat"]}, r"\(H, W, 3\) uint8"),
        (lambda f: f | {"heat": "warm"}, "this is str"),
        (lambda f: f | {"heat": f["heat"][:, :30]}, "cannot show the same view"),
        (lambda f: f | {"rgb": f["rgb"][None]}, "not of the same frames"),
        (lambda f: {n: a[None].repeat(1 + (n == "rgb"), 0) for n, a in f.items()}, "not of the same frames"),
        (lambda f: {n: a[:0] for n, a in f.items()}, "empty"),
    ],
)
def test_what_is_no_frame_is_told_in_one_sentence(given, told):
    with pytest.raises(EdgekitError, match=told) as error:
        FrameReader(PRE)(given(frame()))
    assert error.value.fix and error.value.where.startswith("the frames given")


def graph() -> onnx.ModelProto:
    """Depth: the mean of what there is of heat and rgb, standardised by the graph itself, squashed to 0-1."""
    nodes, planes = [], []
    for tensor in INPUTS:
        x = tensor.name
        if tensor.dtype == "uint8":
            nodes.append(helper.make_node("Cast", [x], [f"{x}.float"], to=TensorProto.FLOAT))
            x = f"{x}.float"
        nodes.append(helper.make_node("Transpose", [x], [f"{tensor.name}.planes"], perm=[0, 3, 1, 2]))
        planes.append(f"{tensor.name}.planes")
    nodes += [
        helper.make_node("Concat", planes, ["whole"], axis=1),
        helper.make_node("Sub", ["whole", "mean"], ["centred"]),
        helper.make_node("Div", ["centred", "std"], ["input"]),
        helper.make_node("ReduceMean", ["input"], ["flat"], axes=[1], keepdims=0),
        helper.make_node("Sigmoid", ["flat"], ["depth_depth"]),
    ]
    kinds = {"uint8": TensorProto.UINT8, "float32": TensorProto.FLOAT}
    model = helper.make_model(
        helper.make_graph(
            nodes,
            "sensors",
            [helper.make_tensor_value_info(t.name, kinds[t.dtype], t.shape) for t in INPUTS],
            [helper.make_tensor_value_info("depth_depth", TensorProto.FLOAT, (1, *SIZE))],
            [
                onnx.numpy_helper.from_array(np.float32(values).reshape(1, 6, 1, 1), name)
                for name, values in (("mean", PRE.mean), ("std", PRE.std))
            ],
        ),
        opset_imports=[helper.make_opsetid("", 17)],
    )
    model.ir_version = 8
    return model


def by_hand(given: dict[str, np.ndarray]) -> np.ndarray:
    whole = np.zeros((*next((a.shape[:2] for a in given.values()), SIZE), 6))
    for name, part in (("heat", slice(0, 1)), ("rgb", slice(1, 4)), ("near", slice(4, 6))):
        values = given.get(name, np.array(PRE.pad[part]))
        values = values[..., None] if name == "heat" and name in given else values
        whole[..., part] = (values - np.array(PRE.mean[part])) / PRE.std[part]
    return 1 / (1 + np.exp(-whole.mean(2)))


@pytest.fixture(scope="module")
def bundle(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("bundle") / "sensors"
    golden, answers = tmp_path_factory.mktemp("golden") / "golden.npz", frame(seed=9)
    np.savez(
        golden,
        frames=answers["rgb"][None],
        frames_heat=answers["heat"][None, ..., None],
        frames_near=answers["near"][None],
        depth_depth=by_hand(answers).astype(np.float32)[None],
    )
    output = OutputTensor("depth_depth", "float32", (1, *SIZE), "depth", "depth", 1)
    first, *others = INPUTS
    manifest = Manifest(
        schema=SCHEMA,
        name="sensors",
        edgekit="0",
        created="2026-01-01T00:00:00Z",
        target="cpu",
        board=None,
        jetpack=None,
        student=StudentInfo("repseg", 8, 100, 1000, 1),
        tasks=(DEPTH,),
        preprocessing=PRE,
        artifacts=(Artifact("fp32.onnx", "onnxruntime", "fp32", 17, first, (output,), others=tuple(others)),),
        golden=Golden("golden.npz", 1, "synthetic", {"onnxruntime/fp32": {"depth_depth": {"error": 1e-4}}}),
    )
    write_bundle(manifest, {"fp32.onnx": graph().SerializeToString(), "golden.npz": golden.read_bytes()}, folder)
    return folder


@pytest.mark.parametrize("lacking", [(), ("heat",), ("near",), ("heat", "near")])
def test_a_bundle_of_sensors_answers_with_and_without_them(bundle, lacking):
    given = {name: array for name, array in frame(seed=3).items() if name not in lacking}
    with edgekit.load(bundle, threads=1) as predictor:
        np.testing.assert_allclose(predictor.infer(given)["depth"], by_hand(given), atol=1e-5)
        batch = {name: np.stack([array, array]) for name, array in given.items()}
        assert predictor.infer(batch)["depth"].shape == (2, *SIZE)
        (many,) = predictor.infer_many([given])
        np.testing.assert_allclose(many["depth"], by_hand(given), atol=1e-5)
        large = {name: np.concatenate([array, array[::-1]], 1) for name, array in given.items()}  # several tiles
        np.testing.assert_allclose(predictor.infer(large, tile=16)["depth"], by_hand(large), atol=1e-5)


def test_it_is_verified_on_its_golden_frames_and_described(bundle, capsys):
    assert main(["verify", str(bundle)]) == 0
    capsys.readouterr()
    manifest = json.loads((bundle / "manifest.json").read_text())
    assert manifest["schema"] == SCHEMA and [t["name"] for t in manifest["preprocessing"]["modalities"]] == [
        "heat",
        "rgb",
        "near",
    ]
    assert open_bundle(bundle).manifest.preprocessing == PRE


def test_tiles_need_one_resolution(bundle):
    given = frame((64, 96))
    given["heat"] = given["heat"][::2, ::2]
    told = pytest.raises(EdgekitError, match="tiles need modalities of one size")
    with edgekit.load(bundle, threads=1) as predictor, told:
        predictor.infer(given, tile=16)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda m: m["preprocessing"].update(may_lack=["smell"]), "may lack smell"),
        (lambda m: m["preprocessing"]["modalities"].pop(), "may lack heat, near"),
        (lambda m: m["preprocessing"]["modalities"].pop(1), "not of 3 channels"),
        (lambda m: m["preprocessing"]["modalities"][0].update(channels=300), "a modality of 300 channels"),
        (lambda m: m["preprocessing"]["modalities"][0].update(kind="depth"), "no network sees 'heat'"),
        (lambda m: m["preprocessing"]["modalities"][0].update(name="../heat"), "heat"),
        (lambda m: m["preprocessing"]["modalities"][0].update(name="rgb"), "sees rgb, rgb, near"),
        (lambda m: m["preprocessing"]["mean"].pop(), "not of 6 channels"),
        (lambda m: m["preprocessing"]["pad"].__setitem__(1, 300), "impossible"),
        (lambda m: m["preprocessing"].pop("modalities"), "lacks the field 'modalities'"),
        (lambda m: m["artifacts"][0].pop("others"), "lacks the field 'others'"),
        (lambda m: m["artifacts"][0]["others"].pop(), "which is no heat, rgb, near"),
        (lambda m: m["artifacts"][0]["others"][0].update(dtype="float32"), "which is no heat, rgb, near"),
        (lambda m: m["artifacts"][0]["others"][0].update(shape=[1, 32, 64, 3]), "several batches or sizes"),
    ],
)
def test_a_manifest_that_contradicts_itself_is_refused(bundle, tmp_path, change, told):
    for file in bundle.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    manifest = json.loads((bundle / "manifest.json").read_text())
    change(manifest)
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(EdgekitError, match=told):
        open_bundle(tmp_path)


def test_golden_frames_that_are_not_what_the_manifest_says(bundle, tmp_path):
    opened = open_bundle(bundle)
    arrays = opened.golden()
    arrays["frames_heat"][0, 0, 0] = np.nan
    np.savez(tmp_path / "golden.npz", **arrays)
    with pytest.raises(EdgekitError, match="frames_heat are not finite"):
        replace(opened, folder=tmp_path).golden()


@pytest.fixture
def folders(tmp_path) -> Path:
    """Three frames of rgb as photographs, heat as 16-bit pictures (the last is missing), near as arrays."""
    for i in range(3):
        given = frame(seed=i)
        write_png(tmp_path / "rgb" / f"{i}.png", given["rgb"])
        (tmp_path / "heat").mkdir(exist_ok=True), (tmp_path / "near").mkdir(exist_ok=True)
        if i < 2:
            Image.fromarray(np.rint(given["heat"]).astype(np.uint16)).save(tmp_path / "heat" / f"{i}.png")
        np.savez(tmp_path / "near" / f"{i}.npz", given["near"])
    return tmp_path


def test_run_over_folders_side_by_side(bundle, folders, tmp_path, capsys):
    words = ["run", str(bundle), "--input", str(folders / "rgb"), "--output", str(tmp_path / "out"), "--json"]
    also = ["--also", f"near={folders / 'near'}", "--also", f"heat={folders / 'heat'}"]
    code = main([*words, *also])
    said = json.loads(capsys.readouterr().out)
    assert code == 0, said
    assert said["frames"] == 3 and said["unreadable"] == []
    shown = np.asarray(Image.open(tmp_path / "out" / "0.jpg").convert("RGB"))
    assert shown.shape == (*SIZE, 3)


def test_run_says_what_it_cannot_do(bundle, folders, capsys):
    words = ["run", str(bundle), "--input", str(folders / "rgb"), "--json"]
    for more, told in (
        (["--also", "smell=x"], "does not see 'smell'"),
        (["--also", "heat"], "'heat' names no modality"),
        (["--also", f"heat={folders / 'rgb' / '0.png'}"], "does not go beside"),
    ):
        assert main([*words, *more]) == 2
        assert told in json.loads(capsys.readouterr().out)["error"]["what"]

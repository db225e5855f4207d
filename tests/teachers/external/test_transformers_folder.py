"""Tiny networks of transformers with random weights, saved to folders: compared with what the library makes of them."""

from __future__ import annotations

import json
import pickle
import shutil
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from edgekit.errors import EdgekitError
from edgekit.networks.hub_imports import import_transformers

NAMES = ("land", "water", "sky", "cow")


@pytest.fixture(scope="module")
def library():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what importing it warns of is its own business
        try:
            transformers = import_transformers("here")
            from transformers import Mask2FormerForUniversalSegmentation  # noqa: F401
        except (EdgekitError, ImportError) as error:
            pytest.skip(f"{error} (edgekit[experts])")
    return transformers


def segformer(t):
    config = t.SegformerConfig(
        depths=[1] * 4, hidden_sizes=[8] * 4, num_attention_heads=[1] * 4, decoder_hidden_size=8, mlp_ratios=[1] * 4
    )
    prepare = t.SegformerImageProcessor(size={"height": 64, "width": 96})
    return config, t.SegformerForSemanticSegmentation, prepare


def mask2former(t, **size):
    swin = t.SwinConfig(
        embed_dim=8, depths=[1] * 4, num_heads=[1] * 4, window_size=2, out_features=[f"stage{i}" for i in (1, 2, 3, 4)]
    )
    config = t.Mask2FormerConfig(
        backbone_config=swin, feature_size=32, mask_feature_size=32, hidden_dim=32, encoder_feedforward_dim=16,
        encoder_layers=1, decoder_layers=2, num_attention_heads=2, dim_feedforward=16, num_queries=7,
    )  # fmt: skip
    return config, t.Mask2FormerForUniversalSegmentation, t.Mask2FormerImageProcessor(**size)


def depth_anything(t):
    dino = t.Dinov2Config(
        hidden_size=12, num_hidden_layers=4, num_attention_heads=2, image_size=56, patch_size=14, mlp_ratio=1,
        out_features=[f"stage{i}" for i in (1, 2, 3, 4)], reshape_hidden_states=False, apply_layernorm=True,
    )  # fmt: skip
    config = t.DepthAnythingConfig(
        backbone_config=dino, reassemble_hidden_size=12, neck_hidden_sizes=[8] * 4, fusion_hidden_size=8,
        head_hidden_size=8,
    )  # fmt: skip
    prepare = t.DPTImageProcessor(size={"height": 56, "width": 56}, keep_aspect_ratio=True, ensure_multiple_of=14)
    return config, t.DepthAnythingForDepthEstimation, prepare


def dpt(t):
    config = t.DPTConfig(
        hidden_size=12, num_hidden_layers=4, num_attention_heads=2, intermediate_size=12, image_size=64, patch_size=16,
        backbone_out_indices=[0, 1, 2, 3], neck_hidden_sizes=[8] * 4, fusion_hidden_size=8,
        reassemble_factors=[4, 2, 1, 0.5],
    )  # fmt: skip
    return config, t.DPTForDepthEstimation, t.DPTImageProcessor(size={"height": 64, "width": 64})


MAKERS = {
    "segformer": segformer,
    "mask2former": lambda t: mask2former(t, size={"height": 96, "width": 96}),
    "padded": lambda t: mask2former(
        t, size={"height": 40, "width": 60}, size_divisor=1, pad_size={"height": 64, "width": 64}
    ),
    "depth": depth_anything,
    "dpt": dpt,
}


@pytest.fixture(scope="module")
def folders(library, tmp_path_factory) -> dict[str, Path]:
    base = tmp_path_factory.mktemp("networks")
    for seed, (name, make) in enumerate(MAKERS.items()):
        config, kind, prepare = make(library)
        config.id2label = dict(enumerate(NAMES))
        torch.manual_seed(seed)
        network = kind(config).eval()
        with torch.no_grad():  # as they begin, they say nearly the same everywhere
            for value in network.parameters():
                value.add_(0.3 * torch.randn_like(value))
        network.save_pretrained(base / name)
        prepare.save_pretrained(base / name)
    return {name: base / name for name in MAKERS}


@pytest.fixture
def said(library, folders, rgb):
    """``said(name)``: what the library itself makes of a frame, by its own preparation."""

    def said(name: str, frame: np.ndarray = rgb):
        prepare = library.AutoImageProcessor.from_pretrained(folders[name])
        kinds = {"depth": "DepthEstimation", "dpt": "DepthEstimation", "segformer": "SemanticSegmentation"}
        kind = getattr(library, f"AutoModelFor{kinds.get(name, 'UniversalSegmentation')}")
        with torch.no_grad():
            return prepare, kind.from_pretrained(folders[name])(**prepare(images=[frame], return_tensors="pt"))

    return said


@pytest.fixture
def rgb() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (48, 72, 3)).astype(np.uint8)


def semantic(folder: Path, **output) -> dict:
    outputs = {"semantic": {"ignore": ["cow"], **output}}
    return {"kind": "transformers", "task": "semantic", "model": str(folder), "outputs": outputs}


def depth(folder: Path, name: str = "near", **output) -> dict:
    return {"kind": "transformers", "task": "depth", "model": str(folder), "outputs": {name: output}}


def resized(values: torch.Tensor, size=(48, 72)) -> np.ndarray:
    antialias = values.shape[-2] > size[0] or values.shape[-1] > size[1]
    return F.interpolate(values, size, mode="bilinear", align_corners=False, antialias=antialias)[0].numpy()


def without_cow(found: np.ndarray) -> np.ndarray:
    return found[:3] / found[:3].sum(axis=0)


def test_segformer_says_what_the_library_says(folders, open_teacher, ask, said, rgb):
    found = ask(open_teacher(**semantic(folders["segformer"])))["semantic"]
    _, expected = said("segformer")
    np.testing.assert_allclose(found, without_cow(resized(expected.logits.softmax(dim=1))), atol=1e-5)
    assert len(np.unique(found.argmax(axis=0))) > 1


def test_mask2former_says_what_the_library_says(folders, open_teacher, ask, said):
    """It looks at masks of 384×384 pixels whatever the frame, and this at those of the prepared frame."""
    found = ask(open_teacher(**semantic(folders["mask2former"])))["semantic"]
    prepare, expected = said("mask2former")
    (theirs,) = prepare.post_process_semantic_segmentation(expected, [(48, 72)], return_segmentation_scores=True)
    theirs = without_cow(theirs.segmentation_scores.numpy())
    assert (found.argmax(axis=0) == theirs.argmax(axis=0)).mean() > 0.95 and np.abs(found - theirs).mean() < 0.02
    assert len(np.unique(found.argmax(axis=0))) > 1


@pytest.mark.parametrize("name", ["mask2former", "padded"])
def test_mask2former_is_classes_times_masks_of_the_frame_without_what_was_padded(
    folders, open_teacher, ask, said, name
):
    found = ask(open_teacher(**semantic(folders[name])))["semantic"]
    _, expected = said(name)
    inside = (96, 96) if name == "mask2former" else (40, 60)  # of 64×64
    side = 96 if name == "mask2former" else 64
    masks = resized(expected.masks_queries_logits, (side, side))[:, : inside[0], : inside[1]].astype(np.float64)
    classes = np.exp(expected.class_queries_logits[0].numpy().astype(np.float64))
    scores = np.zeros((4, *inside))
    for query, mask in zip(classes / classes.sum(axis=1, keepdims=True), masks, strict=True):
        for number in range(4):
            scores[number] += query[number] / (1 + np.exp(-mask))
    shares = torch.from_numpy(np.float32(scores / scores.sum(axis=0)))[None, :3]
    np.testing.assert_allclose(found, (r := resized(shares)) / r.sum(axis=0), atol=1e-4)


@pytest.mark.parametrize("name", ["depth", "dpt"])
def test_relative_depth_is_the_reciprocal_of_what_the_network_says(folders, open_teacher, ask, said, name):
    found = ask(open_teacher(**depth(folders[name])))["near"][0]
    _, expected = said(name)
    near = expected.predicted_depth[0].numpy()
    far = np.clip(1 / np.maximum(near, 1e-6), 0, 1)
    np.testing.assert_allclose(found, resized(torch.from_numpy(far)[None, None])[0], atol=1e-5)
    assert found.std() > 0.01 or name == "dpt"


def test_metres_stay_metres(folders, open_teacher, ask, said):
    teacher = open_teacher(**depth(folders["dpt"], "depth"))
    frame = ask(teacher)["depth"][0]
    _, expected = said("dpt")
    metres = np.clip(expected.predicted_depth[0].numpy(), 1, 100)
    encoded = torch.from_numpy(np.log(metres) / np.log(100))[None, None]
    np.testing.assert_allclose(frame, resized(encoded)[0], atol=1e-5)


def test_frames_together_are_frames_alone(folders, open_teacher, frames):
    for section in (semantic(folders["padded"]), depth(folders["depth"])):
        teacher = open_teacher(**section)
        both = frames.source.frames("train")
        maps = [frames.read(frame, ["rgb"]) for frame in both]
        together = teacher.answers(both, maps, None)
        for frame, found in zip(both, together, strict=True):
            (alone,) = teacher.answer(frames, frame, None).values()
            (seen,) = found.values()
            np.testing.assert_allclose(seen.numpy(), alone.numpy(), atol=1e-4)
        assert not np.allclose(*(next(iter(found.values())).numpy() for found in together), atol=1e-3)


def test_as_a_modality_it_says_itself_what_its_map_is(folders, open_teacher):
    section = semantic(folders["segformer"]) | {"role": "modality", "outputs": {"seen": {}, "far": {}}}
    assert open_teacher(**section).tasks["seen"].classes == NAMES
    section = depth(folders["depth"]) | {"role": "modality", "outputs": {"far": {}}}
    task = open_teacher(**section).tasks["far"]
    assert (task.kind, task.unit, task.range) == ("depth", "", (0.0, 1.0))


def test_the_key_is_of_the_weights_and_not_of_their_place(folders, open_teacher, tmp_path):
    first = open_teacher(**depth(folders["dpt"])).key()
    shutil.copytree(folders["dpt"], tmp_path / "copy")
    assert open_teacher(**depth(Path("copy"))).key() == first
    weights = bytearray((tmp_path / "copy/model.safetensors").read_bytes())
    weights[-1] ^= 1
    (tmp_path / "copy/model.safetensors").write_bytes(weights)
    assert open_teacher(**depth(Path("copy"))).key() != first


def edited(folder: Path, file: str, **values) -> None:
    document = json.loads((folder / file).read_text())
    (folder / file).write_text(json.dumps(document | values))


class Runs:
    def __reduce__(self):
        return (Path.touch, (Path("ran"),))


def only_a_pickle(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps(Runs()))


def code(folder: Path, file: str) -> None:
    edited(folder, file, auto_map={"AutoConfig": "own.Own", "AutoImageProcessor": "own.Own"}, model_type="own")
    (folder / "own.py").write_text("open('ran', 'w')")


WRONG = {
    "no folder": (shutil.rmtree, "no network of that name can be fetched"),
    "no weights": (lambda f: (f / "model.safetensors").unlink(), "no weights in safetensors"),
    "a pickle": (only_a_pickle, "no weights in safetensors"),
    "code": (lambda f: code(f, "config.json"), "requires custom or third-party code: auto_map"),
    "code that prepares": (lambda f: code(f, "preprocessor_config.json"), "requires custom or third-party code"),
    "a kernel": (
        lambda f: edited(f, "config.json", attn_implementation="org/kernel"),
        "requires custom or third-party code",
    ),
    "a kernel inside": (
        lambda f: edited(f, "config.json", text_config={"attn_implementation": "org/kernel"}),
        "requires custom or third-party code",
    ),
    "no preparation": (lambda f: (f / "preprocessor_config.json").unlink(), "cannot open the network"),
    "half the weights": (
        lambda f: (f / "model.safetensors").write_bytes((f / "model.safetensors").read_bytes()[:999]),
        "cannot open the network",
    ),
    "no JSON": (lambda f: (f / "config.json").write_text("{"), "no JSON"),
    "another kind": (
        lambda f: (f / "config.json").write_text('{"model_type": "bert"}'),
        "bert is no network for semantic",
    ),
}


@pytest.mark.parametrize(("change", "what"), WRONG.values(), ids=WRONG)
def test_what_is_refused(folders, open_teacher, tmp_path, monkeypatch, change, what):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hub"))
    shutil.copytree(folders["segformer"], tmp_path / "net")
    change(tmp_path / "net")
    with pytest.raises(EdgekitError) as raised:
        open_teacher(**semantic(Path("net")))
    assert what in raised.value.what and raised.value.where and raised.value.fix
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("name", "section", "what"),
    [
        ("segformer", lambda f: semantic(f) | {"outputs": {"near": {}}}, "is one for semantic, and 'near' is depth"),
        ("depth", lambda f: depth(f, "normals"), "is one for depth, and 'normals' is normals"),
        ("depth", lambda f: depth(f, "depth"), "says relative depth, and 'depth' is in m"),
        ("segformer", lambda f: semantic(f, ignore=[]), "the teacher's class 'cow' matches no class of the task"),
        ("segformer", lambda f: depth(f), "segformer is no network for depth"),
    ],
)
def test_tasks_that_do_not_fit(folders, open_teacher, name, section, what):
    with pytest.raises(EdgekitError, match=what):
        open_teacher(**section(folders[name]))

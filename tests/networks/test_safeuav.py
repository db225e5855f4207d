"""SafeUAV against the published sizes, a file of the reference network, and a second implementation."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from edgekit.networks import parameter_count
from edgekit.networks.safeuav import SafeUAV

REFERENCE = Path(__file__).parents[3] / "shared" / "data" / "safeuav_reference.npz"


@pytest.mark.parametrize(("width", "count"), [(6, 158_639), (10, 438_271), (16, 1_118_539), (32, 4_462_731)])
def test_published_parameter_counts(width, count):
    with torch.device("meta"):
        assert parameter_count(SafeUAV(11, 11, width=width)) == count


def test_first_weights_pass_the_input_on():
    """A kernel is pytorch's own plus a one from channel c to channel c at its centre."""
    torch.manual_seed(0)
    state = SafeUAV(3, 2, width=4).encoder.state_dict()
    kernels = {k: v for k, v in state.items() if v.dim() == 4 and "_t." not in k}
    assert len(kernels) == 18
    for kernel in kernels.values():
        least, most = (f(kernel[c, c, 1, 1] for c in range(min(kernel.shape[:2]))) for f in (min, max))
        bound = 1 / (9 * kernel.shape[1]) ** 0.5  # kaiming_uniform_ with a = √5
        assert 1 - bound <= least <= most <= 1 + bound
        kernel[range(min(kernel.shape[:2])), range(min(kernel.shape[:2])), 1, 1] -= 1
        assert kernel.abs().max() <= bound + 1e-6 and kernel.std() > bound / 3


def layer(x, params, name, *, stride=1, dilation=1):
    """conv 3×3, batch norm with stored statistics, ReLU."""
    x = F.conv2d(x, params[f"{name}.0.weight"], params[f"{name}.0.bias"], stride, dilation, dilation)
    return normalised(x, params, name)


def transposed(x, params, name, like):
    """Transposed conv 3×3 stride 2 padding 1, batch norm, ReLU, zeros right and bottom up to the skip's size."""
    x = F.conv_transpose2d(x, params[f"{name}.0.weight"], params[f"{name}.0.bias"], stride=2, padding=1)
    x = normalised(x, params, name)
    return F.pad(x, (0, like.shape[-1] - x.shape[-1], 0, like.shape[-2] - x.shape[-2]))


def normalised(x, params, name):
    mean, var = params[f"{name}.1.running_mean"], params[f"{name}.1.running_var"]
    scale, shift = params[f"{name}.1.weight"], params[f"{name}.1.bias"]
    x = (x - mean[:, None, None]) / torch.sqrt(var[:, None, None] + 1e-5)
    return (x * scale[:, None, None] + shift[:, None, None]).clamp(min=0)


def plain_safeuav(x: torch.Tensor, p: dict[str, torch.Tensor]) -> torch.Tensor:
    """The network as the paper's inference code lays it out, from a dictionary of its published parameter names."""
    e = {k.removeprefix("encoder."): v for k, v in p.items()}
    first = []
    for stage in range(3):
        a, b, c = (f"conv{3 * stage + i}" for i in (1, 2, 3))
        x = layer(x, e, a)
        first.append(x)
        x = layer(layer(x, e, b), e, c, stride=2)
    sums = 0
    for i in range(6):
        x = layer(x, e, f"dilate{i + 1}", dilation=2**i)
        sums = sums + x
    x = sums
    for up, merge, skip in (("conv10_t", "conv11", 2), ("conv12_t", "conv13", 1), ("conv14_t", "conv15", 0)):
        x = layer(torch.cat([transposed(x, e, up, first[skip]), first[skip]], 1), e, merge)
    return F.conv2d(x, p["decoder.weight"], p["decoder.bias"])


def randomise_norms(network: torch.nn.Module) -> None:
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            for tensor, low, high in (
                (module.running_mean, -0.5, 0.5),
                (module.running_var, 0.5, 2.0),
                (module.weight, 0.5, 1.5),
                (module.bias, -0.5, 0.5),
            ):
                torch.nn.init.uniform_(tensor, low, high)


@pytest.mark.parametrize("size", [(37, 53), (32, 40), (9, 17)], ids=str)
def test_equals_a_second_implementation(size):
    torch.manual_seed(3)
    network = SafeUAV(5, 7, width=3).eval()
    randomise_norms(network)
    x = torch.randn(2, 5, *size)
    with torch.no_grad():
        expected = plain_safeuav(x, network.state_dict())
        torch.testing.assert_close(network(x), expected, rtol=1e-5, atol=1e-5)
    assert expected.std() > 1e-3  # the comparison means something


def test_equals_the_reference_network():
    if not REFERENCE.is_file():
        pytest.skip(f"the reference network's file is not beside the repository ({REFERENCE})")
    with np.load(REFERENCE, allow_pickle=False) as file:
        params = {k.removeprefix("param/"): torch.from_numpy(file[k]) for k in file.files if k.startswith("param/")}
        x, expected = torch.from_numpy(file["input"]), file["output"]
    network = SafeUAV(11, 11, width=4).eval()
    missing, unexpected = network.load_state_dict(params, strict=False)
    assert unexpected == []
    assert all(name.endswith("num_batches_tracked") for name in missing)  # a counter, not a parameter
    with torch.no_grad():
        np.testing.assert_allclose(network(x).numpy(), expected, rtol=0, atol=1e-5)
        np.testing.assert_allclose(plain_safeuav(x, params).numpy(), expected, rtol=0, atol=1e-5)

"""One pass of the multi-modal network: what reaches it and what does not."""

from __future__ import annotations

import importlib.util
import math

import pytest
import torch

from edgekit.networks import FAMILIES
from edgekit.tasks import kind_of


@pytest.fixture(params=FAMILIES)
def network(request, make_network):
    if request.param == "timm" and importlib.util.find_spec("timm") is None:
        pytest.skip("timm is not installed (edgekit[timm])")
    return make_network(family=request.param)


def visible(*hidden: int, count: int = 4) -> torch.Tensor:
    out = torch.ones(count, dtype=torch.bool)
    out[list(hidden)] = False
    return out


@torch.no_grad()
def run(network, inputs, seen):
    return network(network.standardise(inputs), seen)


def slots_of(network) -> bool:
    """Whether the family's input has slots for the tasks, as the published networks have."""
    return getattr(network.network, "task_slots", True)


def assert_same(one, other):
    assert one.keys() == other.keys() and all(torch.equal(one[n], other[n]) for n in one)


def test_a_slot_in_for_every_channel_out(network, make_inputs, modalities, tasks):
    convolutions = [m for m in network.network.modules() if isinstance(m, torch.nn.Conv2d)]
    channels = sum(kind_of(t).channels(t) for t in [*modalities, *tasks])
    assert convolutions[-1].out_channels == channels == 8 + 8
    assert convolutions[0].in_channels == (8 + 8 if slots_of(network) else 8)
    out = run(network, make_inputs(size=(33, 50)), visible())
    assert list(out) == [t.name for t in [*modalities, *tasks]]
    stride = network.network.stride
    small = (math.ceil(33 / stride), math.ceil(50 / stride))
    assert all(out[t.name].shape == (2, kind_of(t).channels(t), *small) for t in [*modalities, *tasks])


def test_the_task_slots_stay_zero(network, make_inputs):
    seen = {}
    hook = network.network.register_forward_pre_hook(lambda module, args: seen.setdefault("x", args[0]))
    run(network, make_inputs(), visible(1))
    hook.remove()
    x = seen["x"]
    assert x.shape[1] == 8 + (8 if slots_of(network) else 0) and not x[:, 8:].any()
    assert not x[:, 3].any() and x[:, :3].any() and x[:, 4].any()  # edges hidden: channel 3


def test_standardised_by_channel(network, make_inputs, modalities):
    inputs = make_inputs()
    x = network.standardise(inputs)
    start = 0
    for task in modalities:
        for c in range(kind_of(task).channels(task)):
            mean, deviation = 0.1 * c + 0.3, 0.5 + 0.1 * c
            if task.name == "rgb" and hasattr(network.network, "rgb_statistics"):
                mean = deviation = 127.5  # what the encoder was trained with
            expected = (inputs[task.name][:, c] - mean) / deviation
            torch.testing.assert_close(x[:, start], expected, equal_nan=True)
            start += 1
    assert start == x.shape[1]


@pytest.mark.parametrize("hidden", range(4))
def test_a_hidden_modality_has_no_influence(network, make_inputs, modalities, hidden):
    inputs, other = make_inputs(), make_inputs()
    name = modalities[hidden].name
    other[name] = torch.full_like(other[name], 77.0)
    assert_same(run(network, inputs, visible(hidden)), run(network, other, visible(hidden)))
    shown = run(network, inputs, visible())
    changed = run(network, other, visible())
    assert not torch.equal(shown["classes"], changed["classes"])  # seen, it has


@pytest.mark.parametrize("missing", range(4))
def test_missing_is_hidden(network, make_inputs, modalities, missing):
    inputs = make_inputs()
    name = modalities[missing].name
    absent = {**inputs, name: torch.full_like(inputs[name], torch.nan)}
    assert_same(run(network, absent, visible()), run(network, inputs, visible(missing)))


def test_an_invalid_pixel_reads_as_the_mean(network, make_inputs, modalities):
    inputs = make_inputs()
    filled = {**inputs, "expert_depth": inputs["expert_depth"].nan_to_num(nan=0.3)}  # depth's mean
    assert inputs["expert_depth"].isnan().any()
    one, other = run(network, inputs, visible()), run(network, filled, visible())
    for name in one:
        torch.testing.assert_close(one[name], other[name])


def test_each_frame_has_a_masking_of_its_own(network, make_inputs):
    inputs = make_inputs()
    rows = torch.stack([visible(0, 2), visible(3)])
    together = run(network, inputs, rows)
    for i in range(2):
        alone = run(network, {n: x[i : i + 1] for n, x in inputs.items()}, rows[i])
        for name in together:
            torch.testing.assert_close(together[name][i : i + 1], alone[name], rtol=1e-4, atol=1e-5)


def test_statistics_travel_with_the_weights(make_network, make_inputs):
    one, other = make_network(0), make_network(1)
    other.mean += 5.0
    other.load_state_dict(one.state_dict())
    assert_same(run(one, make_inputs(), visible()), run(other, make_inputs(), visible()))

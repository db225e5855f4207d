"""Orthogonalised steps, against singular value decompositions and torch's own AdamW and Muon."""

from __future__ import annotations

from types import MappingProxyType

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from edgekit.training.config import TrainConfig
from edgekit.training.muon import MOMENTUM, Muon, orthogonal
from edgekit.training.optimiser import optimiser_of


def matrices(rows: int, columns: int, count: int = 2, seed: int = 0) -> torch.Tensor:
    return torch.randn(count, rows, columns, generator=torch.Generator().manual_seed(seed))


@given(st.integers(1, 24), st.integers(1, 24), st.integers(0, 100))
def test_every_singular_value_is_drawn_towards_one_and_directions_stay(rows, columns, seed):
    x = matrices(rows, columns, seed=seed)
    left, values, right = torch.linalg.svd(x, full_matrices=False)
    found = orthogonal(x)
    # in the basis of x's own singular vectors the result is diagonal: directions are those of x
    core = left.mT @ found @ right.mT
    diagonal = torch.diagonal(core, dim1=-2, dim2=-1)
    assert torch.allclose(core, torch.diag_embed(diagonal), atol=1e-3)
    large = values > 0.02 * values.norm(dim=-1, keepdim=True)  # five steps reach what is not tiny
    assert ((diagonal > 0.6) & (diagonal < 1.3))[large].all()


def test_the_scale_of_the_gradient_does_not_matter():
    x = matrices(6, 20)
    for factor in (1e-4, 1e3):
        torch.testing.assert_close(orthogonal(factor * x), orthogonal(x), atol=1e-3, rtol=1e-3)


def test_a_step_is_that_of_torchs_muon_on_the_kernel_as_a_matrix():
    torch.manual_seed(0)
    kernel = nn.Parameter(torch.randn(6, 4, 3, 3))
    flat = nn.Parameter(kernel.detach().reshape(6, -1).clone())
    ours = Muon([{"params": [kernel], "weight_decay": 0.1, "orthogonal": True}], lr=0.02)
    theirs = torch.optim.Muon(
        [flat], lr=0.02, weight_decay=0.1, momentum=MOMENTUM, adjust_lr_fn="match_rms_adamw", eps=1e-7
    )
    for step in range(3):
        gradient = torch.randn(6, 4, 3, 3, generator=torch.Generator().manual_seed(step))
        kernel.grad, flat.grad = gradient.clone(), gradient.reshape(6, -1).clone()
        ours.step()
        theirs.step()
        # torch's iterates in bfloat16
        torch.testing.assert_close(kernel.detach().reshape(6, -1), flat.detach(), atol=2e-3, rtol=0)


def test_all_that_is_no_kernel_moves_as_with_adamw():
    torch.manual_seed(0)
    bias, twin = nn.Parameter(torch.randn(5)), None
    twin = nn.Parameter(bias.detach().clone())
    kernel = nn.Parameter(torch.randn(4, 4, 3, 3))
    ours = Muon(
        [
            {"params": [kernel], "weight_decay": 0.0, "orthogonal": True},
            {"params": [bias], "weight_decay": 0.0, "orthogonal": False},
        ],
        lr=0.01,
    )
    theirs = torch.optim.AdamW([twin], lr=0.01, weight_decay=0.0)
    for _ in range(3):
        for p in (bias, twin):
            p.grad = torch.sin(p.detach())
        kernel.grad = torch.randn_like(kernel)
        ours.step()
        theirs.step()
    assert torch.equal(bias, twin)


def test_a_restored_optimiser_goes_on_as_if_it_had_never_stopped():
    def run(stop: int | None) -> torch.Tensor:
        torch.manual_seed(0)
        kernel = nn.Parameter(torch.randn(4, 4, 3, 3))

        def fresh():
            return Muon([{"params": [kernel], "weight_decay": 0.01, "orthogonal": True}], lr=0.02)

        optimiser = fresh()
        for step in range(6):
            if step == stop:
                state = optimiser.state_dict()
                optimiser = fresh()
                optimiser.load_state_dict(state)
            kernel.grad = torch.randn(4, 4, 3, 3, generator=torch.Generator().manual_seed(step))
            optimiser.step()
        return kernel.detach()

    assert torch.equal(run(None), run(3))


def test_kernels_between_hidden_maps_are_orthogonalised_and_nothing_else():
    network = nn.Sequential(
        nn.Conv2d(3, 8, 3),
        nn.BatchNorm2d(8),
        nn.Conv2d(8, 8, 3, groups=8),  # depthwise
        nn.Conv2d(8, 8, 1),
        nn.Conv2d(8, 5, 1),  # the head
    )
    groups = optimiser_of(network, TrainConfig(optimiser="muon", learning_rate=1e-3, weight_decay=0.3)).param_groups
    chosen = [tuple(p.shape) for g in groups if g["orthogonal"] for p in g["params"]]
    assert chosen == [(8, 3, 3, 3), (8, 8, 1, 1)]
    decayed = [tuple(p.shape) for g in groups if g["weight_decay"] for p in g["params"]]
    assert sorted(decayed) == sorted([(8, 3, 3, 3), (8, 1, 3, 3), (8, 8, 1, 1), (5, 8, 1, 1)])
    assert sum(len(g["params"]) for g in groups) == len(list(network.parameters()))
    plain = optimiser_of(network, TrainConfig(optimiser="adamw", learning_rate=1e-3)).param_groups
    assert not any(g["orthogonal"] for g in plain)


def test_what_a_recipe_leaves_open_is_the_familys():
    class Pretrained:
        training = MappingProxyType({"optimiser": "adamw", "learning_rate": 1.5e-3})

    assert TrainConfig().resolved(nn.Module).optimiser == "muon"
    found = TrainConfig(learning_rate=0.5).resolved(Pretrained)
    assert (found.optimiser, found.learning_rate) == ("adamw", 0.5)
    assert TrainConfig(optimiser="muon").resolved(Pretrained).optimiser == "muon"


@pytest.mark.parametrize("name", ["sgd", "Muon"])
def test_other_optimisers_are_refused(name):
    with pytest.raises(ValueError, match="optimiser"):
        TrainConfig(optimiser=name)

"""A batch taken in parts: gradients and running statistics are averages, checked against a loop written by hand."""

from __future__ import annotations

import copy
import io
import os
import shutil
import signal
from pathlib import Path

import pytest
import torch
from torch import nn

from edgekit.data.batches import Batch
from edgekit.errors import EdgekitError
from edgekit.training.config import TrainConfig
from edgekit.training.distributed import ProcessGroup, world
from edgekit.training.loop import learning_rate, train
from edgekit.training.progress import Progress
from edgekit.training.running_statistics import RunningStatistics

STEPS, PARTS = 5, 3


class Made:
    """Batches of six frames; a part is every third of them."""

    def __getitem__(self, step: int) -> Batch:
        return self.part(step, 0, 1)

    def part(self, step: int, part: int, parts: int) -> Batch:
        generator = torch.Generator().manual_seed(step)
        rgb = torch.randn(6, 3, 12, 12, generator=generator) * 2 + 1
        return Batch(step, inputs={"rgb": rgb[part::parts]}, part=part, frames=[f"train/{part}"])


class Reconstruct:
    def __init__(self, network: nn.Module):
        self.forward = network

    def __call__(self, batch: Batch) -> dict:
        x = batch.inputs["rgb"]
        return {"l2": (self.forward(x) - x).square().mean()}

    def scores(self) -> dict:
        return {}


def new_network() -> nn.Module:
    """Without a bias before the norm: its gradient is rounding alone, which Adam makes as large as any other."""
    torch.manual_seed(7)
    first = nn.Conv2d(3, 6, 3, padding=1, bias=False)
    return nn.Sequential(first, nn.BatchNorm2d(6), nn.ReLU(), nn.Conv2d(6, 3, 3, padding=1))


def config_of(**changes) -> TrainConfig:
    told = {"steps": STEPS, "batch_size": 6, "warmup": 2, "precision": "fp32", "ema": 0.0, "micro_batches": PARTS}
    return TrainConfig(**told | {"optimiser": "adamw", "learning_rate": 2e-3} | changes)


def trained(folder: Path, objective=Reconstruct, **changes) -> nn.Module:
    network = new_network()
    progress = Progress("test", stream=io.StringIO())
    return train(network, objective(network), Made(), config_of(**changes), folder=folder, progress=progress)


def by_hand() -> nn.Module:
    """One replica per micro-batch and step; weights follow the mean gradient, buffers are the replicas' mean."""
    network, config = new_network(), config_of()
    kernels = [p for p in network.parameters() if p.ndim > 1]
    others = [p for p in network.parameters() if p.ndim == 1]
    optimiser = torch.optim.AdamW([{"params": kernels, "weight_decay": 1e-2}, {"params": others, "weight_decay": 0.0}])
    for step in range(STEPS):
        replicas = [copy.deepcopy(network).train() for _ in range(PARTS)]
        for part, replica in enumerate(replicas):
            x = Made().part(step, part, PARTS).inputs["rgb"]
            (replica(x) - x).square().mean().backward()
        for parameter, *same in zip(network.parameters(), *(r.parameters() for r in replicas), strict=True):
            parameter.grad = torch.stack([p.grad for p in same]).mean(0)
        nn.utils.clip_grad_norm_(network.parameters(), config.clip)
        for group in optimiser.param_groups:
            group["lr"] = learning_rate(step, config)
        optimiser.step()
        for buffer, *same in zip(network.buffers(), *(r.buffers() for r in replicas), strict=True):
            buffer.copy_(torch.stack(list(same)).float().mean(0))
    return network


def test_it_is_what_a_loop_by_hand_makes(tmp_path):
    expected, found = by_hand().state_dict(), trained(tmp_path).state_dict()
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=1e-4, atol=1e-6)
    whole = trained(tmp_path / "whole", micro_batches=1).state_dict()
    assert not torch.allclose(whole["1.running_var"], expected["1.running_var"], rtol=1e-5)


def test_interrupted_and_continued_it_ends_where_an_unbroken_one_does(tmp_path):
    class Interrupted(Reconstruct):
        def __call__(self, batch: Batch) -> dict:
            if (batch.step, batch.part) == (2, 1):
                os.kill(os.getpid(), signal.SIGINT)
            return super().__call__(batch)

    with pytest.raises(KeyboardInterrupt):
        trained(tmp_path / "a", Interrupted)
    expected = trained(tmp_path / "b").state_dict()
    for name, value in trained(tmp_path / "a").state_dict().items():
        assert torch.equal(value, expected[name])


def test_a_micro_batch_that_is_not_finite_is_told(tmp_path):
    class Bad(Reconstruct):
        def __call__(self, batch: Batch) -> dict:
            terms = super().__call__(batch)
            return {n: v * float("nan") for n, v in terms.items()} if (batch.step, batch.part) == (3, 1) else terms

    with pytest.raises(EdgekitError, match="the loss is not finite at step 3: l2 nan; see l2") as caught:
        trained(tmp_path, Bad)
    assert "step 3, frames train/1" in caught.value.where


@pytest.mark.parametrize(
    ("size", "micro", "processes", "expected"),
    [
        (8, None, 1, 1),
        (8, None, 4, 4),
        (8, 4, 2, 4),
        (8, 8, 1, 8),
        (8, 3, 1, None),
        (8, 2, 4, None),
        (6, None, 4, None),
    ],
)
def test_how_many_parts_a_batch_has(size, micro, processes, expected):
    config = config_of(batch_size=size, micro_batches=micro or None)
    if expected is None:
        with pytest.raises(EdgekitError, match=f"shared by {processes} processes evenly"):
            config.parts(processes)
    else:
        assert config.parts(processes) == expected


def test_networks_without_batch_norm_have_no_statistics():
    statistics = RunningStatistics(nn.Conv2d(1, 1, 1))
    statistics.begin()
    statistics.take()
    assert statistics.sums().numel() == 0
    statistics.finish(statistics.sums(), 2)


def test_one_process_alone_waits_for_nobody():
    alone = world()
    assert (alone.rank, alone.size, alone.first) == (0, 1, True)
    alone.wait("nobody")
    assert alone.lead("it", lambda: [1, "two"]) == [1, "two"]
    alone.agree("itself", {"a": 1})
    assert alone.sum("it", torch.ones(2)).tolist() == [1, 1]
    with pytest.raises(RuntimeError, match="gloo"), alone.contact("nobody"):
        raise RuntimeError("gloo: connection closed by peer")


def test_only_errors_about_other_processes_are_taken_for_such():
    one_of_two = ProcessGroup(1, 2, 5.0, None)
    lost = r"process 1 of 2 lost the others at: the targets \(.*Connection closed"
    with pytest.raises(EdgekitError, match=lost), one_of_two.contact("the targets"):
        raise RuntimeError("[gloo/transport/tcp/pair.cc:547] Connection closed by peer [127.0.0.1]:4242")
    with pytest.raises(RuntimeError, match="shape"), one_of_two.contact("the targets"):
        torch.zeros(3).view(2, 2)


@pytest.mark.parametrize("minutes", ["soon", "0", "-1"])
def test_a_wrong_waiting_time_is_told(monkeypatch, minutes):
    monkeypatch.setenv("EDGEKIT_WAIT_MINUTES", minutes)
    world.cache_clear()
    with pytest.raises(EdgekitError, match=f"EDGEKIT_WAIT_MINUTES is '{minutes}'"):
        world()


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("g++"), reason="torch.compile needs a C++ compiler on a CPU")
def test_a_compiled_network_learns_the_same_and_keeps_its_own_names(tmp_path):
    expected, found = trained(tmp_path / "a").state_dict(), trained(tmp_path / "b", compile=True).state_dict()
    assert list(found) == list(expected)
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=1e-3, atol=1e-4)


@pytest.mark.slow
def test_without_a_compiler_it_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setenv("CXX", str(tmp_path / "no-compiler"))
    monkeypatch.setattr("torch._inductor.config.cpp.cxx", (str(tmp_path / "no-compiler"),))
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path / "cache"))
    torch._dynamo.reset()
    with pytest.raises(EdgekitError, match=r"torch.compile failed") as caught:
        trained(tmp_path, compile=True, learning_rate=1e-4)
    assert "compile: false" in caught.value.fix

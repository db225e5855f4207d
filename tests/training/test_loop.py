"""The training loop: schedule, resumption bit by bit, failures."""

from __future__ import annotations

import io
import json
import math
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from edgekit.data.batches import Batch
from edgekit.errors import EdgekitError
from edgekit.training.checkpoint import UNFINISHED, load_checkpoint
from edgekit.training.config import TrainConfig
from edgekit.training.interrupt import Interrupt
from edgekit.training.loop import learning_rate, train
from edgekit.training.optimiser import optimiser_of
from edgekit.training.progress import Progress

STEPS = 8


class Made:
    """Batches that are functions of their step alone."""

    def __getitem__(self, step: int) -> Batch:
        generator = torch.Generator().manual_seed(step)
        return Batch(step, inputs={"rgb": torch.randn(2, 3, 12, 12, generator=generator)})


class Reconstruct:
    """Learn the identity; ``at`` is called with each step before its loss is computed."""

    def __init__(self, network: nn.Module, at=lambda step: None):
        self.network, self.at = network, at
        self.seen: list[int] = []

    def __call__(self, batch: Batch) -> dict[str, Tensor]:
        self.seen.append(batch.step)
        self.at(batch.step)
        x = batch.inputs["rgb"]
        return {"l2": (self.network(x) - x).square().mean(), "size": 0.1 * self.network(x).abs().mean()}

    def scores(self) -> dict[str, float]:
        return {"best": 1.0}


def new_network() -> nn.Module:
    torch.manual_seed(7)
    return nn.Sequential(nn.Conv2d(3, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU(), nn.Conv2d(6, 3, 3, padding=1))


def config_of(**changes) -> TrainConfig:
    told = {"steps": STEPS, "warmup": 2, "precision": "fp32", "learning_rate": 1e-2, "ema": 0.9, **changes}
    return TrainConfig(**told)


def run(folder: Path, at=lambda step: None, **changes):
    network = new_network()
    objective = Reconstruct(network, at)
    progress = Progress("test", stream=io.StringIO())
    return train(network, objective, Made(), config_of(**changes), folder=folder, progress=progress), objective


def same(a: nn.Module, b: nn.Module) -> bool:
    return all(torch.equal(x, y) for x, y in zip(a.state_dict().values(), b.state_dict().values(), strict=True))


def interrupt_at(step: int):
    def at(now: int) -> None:
        if now == step:
            os.kill(os.getpid(), signal.SIGINT)

    return at


def test_learning_rate_by_hand():
    config = config_of(steps=100, warmup=10, learning_rate=2.0)
    assert learning_rate(0, config) == pytest.approx(0.2)
    assert learning_rate(4, config) == pytest.approx(1.0 * (1 + math.cos(0.04 * math.pi)) / 2)
    assert learning_rate(9, config) == pytest.approx(2.0 * (1 + math.cos(0.09 * math.pi)) / 2)
    assert learning_rate(50, config) == pytest.approx(1.0)
    assert learning_rate(75, config) == pytest.approx(1 - math.sqrt(0.5))
    assert learning_rate(100, config) == pytest.approx(0.0, abs=1e-12)
    assert learning_rate(0, config_of(warmup=0, learning_rate=2.0)) == 2.0


def test_only_kernels_decay():
    decayed, others = optimiser_of(new_network(), config_of(weight_decay=0.3)).param_groups
    assert [tuple(p.shape) for p in decayed["params"]] == [(6, 3, 3, 3), (3, 6, 3, 3)]
    assert sorted(tuple(p.shape) for p in others["params"]) == [(3,), (6,), (6,), (6,)]
    assert (decayed["weight_decay"], others["weight_decay"]) == (0.3, 0.0)


def test_it_learns_and_returns_the_average_in_evaluation_mode(tmp_path):
    trained, objective = run(tmp_path, steps=40, ema=0.8)
    assert objective.seen == list(range(40))
    assert not trained.training and trained is not objective.network
    x = Made()[1000].inputs["rgb"]
    with torch.no_grad():
        assert (trained(x) - x).square().mean() < (new_network().eval()(x) - x).square().mean() / 2
    last, objective = run(tmp_path, ema=0.0)
    assert same(last, objective.network)


def test_a_run_is_repeatable(tmp_path):
    assert same(run(tmp_path / "a")[0], run(tmp_path / "b")[0])
    assert not same(run(tmp_path / "a")[0], run(tmp_path / "c", learning_rate=5e-3)[0])


@pytest.mark.parametrize("step", [0, 3, STEPS - 1])
@pytest.mark.parametrize("ema", [0.9, 0.0])
def test_a_run_resumed_after_ctrl_c_equals_an_unbroken_one(tmp_path, step, ema):
    unbroken, _ = run(tmp_path / "a", ema=ema)
    before = threading.active_count()
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "b", interrupt_at(step), ema=ema)
    assert threading.active_count() == before
    assert load_checkpoint(tmp_path / "b" / UNFINISHED)["step"] == step + 1  # the step under way was finished first
    resumed, objective = run(tmp_path / "b", ema=ema)
    assert objective.seen == list(range(step + 1, STEPS))
    assert same(unbroken, resumed)


def test_a_run_resumed_after_a_crash_goes_on_from_the_last_checkpoint(tmp_path):
    def crash(step: int) -> None:
        if step == 5:
            raise ZeroDivisionError

    unbroken, _ = run(tmp_path / "a")
    with pytest.raises(ZeroDivisionError):
        run(tmp_path / "b", crash, checkpoint_every=1e-9)
    resumed, objective = run(tmp_path / "b")
    assert objective.seen == [5, 6, 7] and same(unbroken, resumed)


def test_checkpoints_are_written_by_the_clock(tmp_path):
    run(tmp_path / "often", checkpoint_every=1e-9)
    assert load_checkpoint(tmp_path / "often" / UNFINISHED)["step"] == STEPS
    run(tmp_path / "never", checkpoint_every=1000)
    assert not (tmp_path / "never" / UNFINISHED).exists()


def test_a_loss_that_is_not_finite_is_told_with_step_and_terms_and_keeps_the_checkpoint(tmp_path):
    class Exploding(Reconstruct):
        def __call__(self, batch: Batch) -> dict[str, Tensor]:
            terms = super().__call__(batch)
            return {**terms, "bad": terms["l2"] * math.nan} if batch.step == 4 else terms

    network = new_network()
    with pytest.raises(EdgekitError, match="not finite at step 4") as caught:
        train(
            network,
            Exploding(network),
            Made(),
            config_of(checkpoint_every=1e-9),
            folder=tmp_path,
            progress=Progress("test", stream=io.StringIO()),
        )
    assert "bad nan" in caught.value.what and "l2 " in caught.value.what and "learning_rate" in caught.value.fix
    kept = load_checkpoint(tmp_path / UNFINISHED)
    assert kept["step"] == 4 and all(torch.isfinite(v).all() for v in kept["network"].values())


def test_a_gradient_that_is_not_finite_never_reaches_the_weights(tmp_path):
    class Steep(Reconstruct):
        def __call__(self, batch: Batch) -> dict[str, Tensor]:
            terms = super().__call__(batch)
            root = (0 * terms["l2"]).sqrt()  # is 0, and its slope is infinite
            return {**terms, "root": root} if batch.step == 4 else terms

    network = new_network()
    progress = Progress("test", stream=io.StringIO())
    with pytest.raises(EdgekitError, match="the gradient is not finite at step 4"):
        train(network, Steep(network), Made(), config_of(checkpoint_every=1e-9), folder=tmp_path, progress=progress)
    assert load_checkpoint(tmp_path / UNFINISHED)["step"] == 4
    assert all(torch.isfinite(v).all() for v in network.state_dict().values())


def test_gradients_are_clipped(tmp_path):
    """With AdamW's scale invariance a clipped gradient shows in its first moment alone."""
    run(tmp_path, steps=1, clip=1e-3, checkpoint_every=1e-9)
    moments = [s["exp_avg"] for s in load_checkpoint(tmp_path / UNFINISHED)["optimiser"]["state"].values()]
    norm = math.sqrt(sum(float(m.square().sum()) for m in moments))
    assert norm == pytest.approx(0.1 * 1e-3, rel=1e-3)  # (1 - beta1) · clip


def test_mixed_precision_scales_its_loss_and_still_learns(tmp_path):
    trained, _ = run(tmp_path, precision="fp16", checkpoint_every=1e-9)
    assert load_checkpoint(tmp_path / UNFINISHED)["scaler"]["scale"] > 1
    assert all(torch.isfinite(v).all() for v in trained.state_dict().values())


def test_the_log_tells_loss_scores_and_waiting(tmp_path):
    network = new_network()
    stream, log = io.StringIO(), tmp_path / "log.jsonl"
    progress = Progress("teacher 1", log, interval=0.0, stream=stream)
    train(network, Reconstruct(network), Made(), config_of(), folder=tmp_path, progress=progress)
    entries = [json.loads(line) for line in log.read_text().splitlines()]
    assert [e["step"] for e in entries] == list(range(1, STEPS + 1))
    assert all({"loss", "best", "waiting", "rate", "stage"} <= set(e) for e in entries)
    assert stream.getvalue().count("teacher 1: ") == STEPS and 0 <= progress.waiting <= 1


def test_the_handlers_are_put_back_and_a_second_ctrl_c_is_obeyed_at_once():
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    with Interrupt() as interrupt:
        assert not interrupt.requested
        os.kill(os.getpid(), signal.SIGTERM)
        assert interrupt.requested
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before
    with pytest.raises(KeyboardInterrupt), Interrupt():
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


def test_in_another_thread_an_interrupt_does_nothing():
    found = []

    def work() -> None:
        with Interrupt() as interrupt:
            found.append(interrupt.requested)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [False]


def test_keeping_freed_memory_is_accepted_where_glibc_is():
    code = "from edgekit.training.memory import keep_freed_memory; print(keep_freed_memory())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() in ("True", "False")
    if sys.platform == "darwin":
        assert done.stdout.strip() == "False"


@pytest.mark.parametrize(
    ("batch", "share", "others", "expected"),
    [
        (8, 0.5, True, 4),
        (8, 0.5, False, 8),
        (8, 1.0, True, 8),
        (8, 0.0, True, 0),
        (1, 0.5, True, 1),
        (4, 0.01, True, 1),
    ],
)
def test_how_many_frames_of_a_batch_are_labelled(batch, share, others, expected):
    assert config_of(batch_size=batch, labelled_share=share).supervised(others) == expected

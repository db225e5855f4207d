"""The teacher's loss: labelled tasks and hidden modalities, in one pass."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from edgekit.data.batches import Batch
from edgekit.heads import HEADS
from edgekit.tasks import kind_of
from edgekit.teachers.config import MaskingConfig, ReconstructConfig, TeacherConfig
from edgekit.teachers.masking import draw_visible
from edgekit.teachers.objective import TeacherObjective

SEED = 5


def settings(*, masking=None, **reconstruct) -> TeacherConfig:
    return TeacherConfig(
        modalities=["rgb", "edges", "expert_depth", "expert_normals"],
        masking=masking or MaskingConfig(),
        reconstruct=ReconstructConfig(**reconstruct),
        train={"precision": "fp32"},
    )


@pytest.fixture
def batch(make_inputs, tasks) -> Batch:
    rng = np.random.default_rng(1)
    inputs = make_inputs(n=3, size=(32, 40))
    labels = {}
    for task in tasks:
        x = torch.from_numpy(rng.random((3, kind_of(task).channels(task), 32, 40)).astype(np.float32))
        labels[task.name] = HEADS[task.kind].activation(x)
        labels[task.name][2] = torch.nan  # the last frame is not labelled
    labels["classes"] = torch.from_numpy(rng.integers(0, 3, (3, 32, 40)))
    labels["classes"][2] = 255
    return Batch(7, inputs=inputs, labels=labels)


def weights(tasks) -> dict[str, float]:
    return {t.name: 1.0 for t in tasks}


def drawn(config: TeacherConfig, step: int, frames: int) -> np.ndarray:
    rng = np.random.default_rng([SEED, 3, step])
    return np.stack([draw_visible(rng, config.modalities, config.masking) for _ in range(frames)])


def by_hand(network, config: TeacherConfig, batch: Batch, tasks) -> dict[str, float]:
    """Every term with loops over modalities and frames."""
    seen = drawn(config, batch.step, 3)
    clean = network.standardise(batch.inputs)
    with torch.no_grad():
        raw = network(clean, torch.from_numpy(seen))
    out = {}
    for task in tasks:
        upsampled = F.interpolate(raw[task.name], size=(32, 40), mode="bilinear", align_corners=False)
        out[task.name] = float(HEADS[task.kind].supervised(upsampled, batch.labels[task.name]))
    losses, start = [], 0
    for m, name in enumerate(config.modalities):
        channels = batch.inputs[name].shape[1]
        output = raw[name].numpy()
        errors = []
        for frame in range(3):
            if config.reconstruct.on == "hidden" and seen[frame, m]:
                continue
            x = clean[frame, start : start + channels].numpy()
            h, w = output.shape[-2:]
            pooled = x.reshape(channels, h, 32 // h, w, 40 // w).mean(axis=(2, 4))
            error = np.abs(output[frame] - pooled)
            errors += error[np.isfinite(error)].tolist()
        start += channels
        losses.append(np.mean(errors) if errors else 0.0)
    out["reconstruct"] = config.reconstruct.weight * np.mean(losses)
    return out


@pytest.mark.parametrize("family", ["repseg", "safeuav"])
@pytest.mark.parametrize("on", ["hidden", "all"])
def test_every_term_by_hand(make_network, tasks, batch, family, on):
    network = make_network(family=family)
    config = settings(on=on, weight=0.3)
    objective = TeacherObjective(network, config, weights(tasks), SEED)
    found = {name: float(v.detach()) for name, v in objective(batch).items()}
    expected = by_hand(network, config, batch, tasks)
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, rel=1e-4), name
    scores = objective.scores()
    assert {f"{name} loss": value for name, value in found.items()}.items() <= scores.items()
    assert all(any(key.startswith(f"{t.name} ") and not key.endswith(" loss") for key in scores) for t in tasks)


def test_only_hidden_modalities_are_reconstructed(make_network, tasks, batch):
    """The outputs for a modality get a gradient in the frames that hide it, and in no other."""
    network, config = make_network(), settings()
    seen = drawn(config, batch.step, 3)
    assert 0 < seen.sum() < seen.size
    kept = {}
    forward = network.forward

    def keep(*args):
        for name, value in forward(*args).items():
            kept[name] = value
            value.retain_grad()
        return kept

    network.forward = keep
    TeacherObjective(network, config, weights(tasks), SEED)(batch)["reconstruct"].backward()
    for m, name in enumerate(config.modalities):
        for frame in range(3):
            assert bool(kept[name].grad[frame].any()) is not bool(seen[frame, m])
    assert all(kept[t.name].grad is None or not kept[t.name].grad.any() for t in tasks)


def test_where_nothing_is_hidden_there_is_nothing_to_reconstruct(make_network, tasks, batch):
    found = TeacherObjective(make_network(), settings(masking=MaskingConfig(full=1.0)), weights(tasks), SEED)(batch)
    assert float(found["reconstruct"].detach()) == 0.0
    found["reconstruct"].backward()


def test_reconstruction_can_be_switched_off(make_network, tasks, batch):
    assert "reconstruct" not in TeacherObjective(make_network(), settings(weight=0.0), weights(tasks), SEED)(batch)


def test_a_batch_without_labels_still_teaches(make_network, tasks, batch):
    for name, label in batch.labels.items():
        batch.labels[name] = torch.full_like(label, 255 if name == "classes" else math.nan)
    network = make_network().train()
    found = TeacherObjective(network, settings(), weights(tasks), SEED)(batch)
    assert all(float(found[t.name].detach()) == 0.0 for t in tasks) and float(found["reconstruct"].detach()) > 0
    torch.stack(list(found.values())).sum().backward()
    assert all(torch.isfinite(p.grad).all() for p in network.parameters())
    assert any(p.grad.any() for p in network.parameters())


def test_masking_is_a_function_of_seed_and_step(make_network, tasks, batch):
    network = make_network()

    def reconstruction(seed: int, step: int) -> float:
        objective = TeacherObjective(network, settings(), weights(tasks), seed)
        return float(objective(Batch(step, batch.inputs, batch.labels))["reconstruct"].detach())

    assert reconstruction(5, 7) == reconstruction(5, 7)
    assert len({reconstruction(5, 7), reconstruction(5, 8), reconstruction(6, 7)}) == 3


def test_task_and_class_weights(make_network, tasks, batch):
    network = make_network()
    plain = TeacherObjective(network, settings(), weights(tasks), SEED)(batch)
    heavy = TeacherObjective(network, settings(), {**weights(tasks), "depth": 3.0}, SEED)(batch)
    for name, value in plain.items():
        assert float(heavy[name].detach()) == pytest.approx(float(value.detach()) * (3 if name == "depth" else 1))
    classes = TeacherObjective(network, settings(), weights(tasks), SEED, {"classes": [1.0, 5.0, 1.0]})(batch)
    assert {n for n in plain if float(plain[n].detach()) != float(classes[n].detach())} == {"classes"}

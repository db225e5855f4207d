"""What the student minimises: which terms there are, what they weigh, and where their gradient comes from."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from edgekit.data.batches import Batch
from edgekit.distill.config import DistillConfig, LossesConfig
from edgekit.distill.objective import StudentObjective
from edgekit.heads import HEADS
from edgekit.losses import LOSSES
from edgekit.students.student import Student
from edgekit.tasks import Task, kind_of
from edgekit.tasks.modality import RGB

TASKS = [
    Task("classes", "semantic", classes=tuple("abcd")),
    Task("depth", "depth"),
    Task("normals", "normals"),
    Task("water", "binary"),
]
ONES = {t.name: 1.0 for t in TASKS}
N, H, W = 2, 32, 48


def student(name: str = "repseg") -> Student:
    torch.manual_seed(0)
    return Student(name, TASKS, width=4)


def batch(*, labels: bool = True, targets: bool = True, seed: int = 0) -> Batch:
    rng = np.random.default_rng(seed)

    def maps(height: int, width: int) -> dict[str, torch.Tensor]:
        raw = {t: torch.from_numpy(rng.normal(size=(N, kind_of(t).channels(t), height, width))).float() for t in TASKS}
        return {t.name: HEADS[t.kind].activation(x) for t, x in raw.items()}

    out = Batch(0, inputs={"rgb": torch.from_numpy(rng.uniform(0, 255, (N, 3, H, W))).float()})
    out.labels = maps(H, W)
    out.labels["classes"] = out.labels["classes"].argmax(1)
    if not labels:
        out.labels = {n: torch.full_like(x, 255 if n == "classes" else math.nan) for n, x in out.labels.items()}
    if targets:
        out.soft = maps(H // 4, W // 4)
        out.agreement = {t.name: torch.from_numpy(rng.uniform(0.3, 1, (N, H // 4, W // 4))).float() for t in TASKS}
    return out


def config(*losses: str, **settings) -> DistillConfig:
    chosen = losses or ("soft", "regression", "normals")
    settings.setdefault("train", {"precision": "fp32"})
    return DistillConfig(losses=LossesConfig(**{name: LOSSES[name].Config() for name in chosen}), **settings)


def terms(config: DistillConfig, batch: Batch, weights=ONES, **settings) -> dict[str, float]:
    objective = StudentObjective(student(), config, weights, **settings)
    out = {name: float(value.detach()) for name, value in objective(batch).items()}
    losses = {name: value for name, value in objective.scores().items() if name.endswith(" loss")}
    assert losses == {f"{name} loss": value for name, value in out.items()}
    return out


def test_what_may_be_lacking_is_hidden_from_half_of_the_frames_whatever_else_happens():
    heat, near = (Task(name, "modality", channels=1) for name in ("heat", "near"))
    torch.manual_seed(0)
    seeing = Student("repseg", TASKS, width=4, modalities=(RGB, heat, near), may_lack=("heat", "near"))
    seen = []
    objective = StudentObjective(seeing, config(), ONES, seed=3)
    objective.forward = lambda frames: seen.append(frames) or seeing(frames)
    for step in range(100):
        one = batch(targets=False)
        one.step = step
        one.inputs |= {name: torch.ones(N, 1, H, W) for name in ("heat", "near")}
        if step < 2:
            objective(one)
        else:  # without the network, which costs
            seen.append(objective._frames(one))
    there = torch.isfinite(torch.cat(seen))[..., 0, 0]
    assert torch.equal(there, torch.isfinite(torch.cat(seen)).all(dim=(2, 3)))  # a modality is there or not
    assert there[:, :3].all()  # rgb always
    for channel in (3, 4):
        assert 70 < there[:, channel].sum() < 130  # of 200
    assert 25 < (there[:, 3] & there[:, 4]).sum() < 75  # each by itself
    again = StudentObjective(seeing, config(), ONES, seed=3)._frames(one)
    assert torch.equal(again.isnan(), seen[-1].isnan())
    others = [StudentObjective(seeing, config(), ONES, seed=seed)._frames(one).isnan() for seed in range(4, 12)]
    assert not all(torch.equal(other, seen[-1].isnan()) for other in others)


def test_without_targets_only_labels_remain():
    found = terms(config(), batch(targets=False))
    assert set(found) == {t.name for t in TASKS}
    assert all(value > 0 for value in found.values())


def test_with_targets_each_loss_is_there_for_each_task_of_its_kinds():
    found = terms(config("soft", "cwd", "dist", "hard", "regression", "normals"), batch())
    expected = {t.name for t in TASKS}
    expected |= {f"classes.{name}" for name in ("soft", "cwd", "dist", "hard")}
    expected |= {"water.soft", "water.hard", "depth.regression", "normals.normals"}
    assert set(found) == expected


@pytest.mark.parametrize("agreement", [True, False])
@pytest.mark.parametrize("name", LOSSES)
def test_a_term_is_the_loss_of_the_output_by_the_agreement_its_kind_makes_of_it(name, agreement):
    data = batch()
    found = terms(config(name, agreement=agreement), data)
    torch.manual_seed(0)
    with torch.no_grad():
        raw = student()(data.inputs["rgb"])
    for task in TASKS:
        if task.kind in LOSSES[name].kinds:
            weight = torch.ones(N, H // 4, W // 4)
            if agreement:
                weight = HEADS[task.kind].agreement_weight(data.agreement[task.name])
            expected = LOSSES[name](LOSSES[name].Config())(raw[task.name], data.soft[task.name], weight)
            assert found[f"{task.name}.{name}"] == pytest.approx(float(expected), rel=1e-5)


def test_a_full_resolution_student_is_compared_at_the_targets_size():
    data = batch()
    full = student("safeuav-150k")
    found = StudentObjective(full, config("soft", agreement=False), ONES)(data)
    raw = full(data.inputs["rgb"])["classes"]
    assert raw.shape[-2:] == (H, W)
    small = F.interpolate(raw, size=(H // 4, W // 4), mode="bilinear", align_corners=False)
    expected = LOSSES["soft"](LOSSES["soft"].Config())(small, data.soft["classes"], torch.ones(N, H // 4, W // 4))
    assert float(found["classes.soft"].detach()) == pytest.approx(float(expected.detach()), rel=1e-4)


def test_weights_of_tasks_losses_and_labels_multiply():
    data = batch()
    plain = terms(config("soft", "regression", "normals"), data)
    weights = {**ONES, "depth": 3.0}
    losses = LossesConfig.model_validate({"soft": {"weight": 5.0}, "regression": {"weight": 2.0}, "normals": {}})
    found = terms(config().model_copy(update={"losses": losses, "supervised": 0.5}), data, weights)
    factors = {"classes": 0.5, "depth": 1.5, "normals": 0.5, "water": 0.5}
    factors |= {"classes.soft": 5.0, "water.soft": 5.0, "depth.regression": 6.0, "normals.normals": 1.0}
    assert set(found) == set(factors)
    for name, factor in factors.items():
        assert found[name] == pytest.approx(factor * plain[name], rel=1e-5)


def test_class_weights_count_in_labels_and_in_targets():
    data = batch()
    balance = [1.0, 9.0, 1.0, 1.0]
    plain, weighted = terms(config(), data), terms(config(), data, class_weights={"classes": balance})
    changed = {name for name in plain if plain[name] != pytest.approx(weighted[name], rel=1e-6)}
    assert changed == {"classes", "classes.soft"}
    # a target pixel counts by the classes it probably is
    by_hand = data.agreement["classes"] * sum(data.soft["classes"][:, c] * w for c, w in enumerate(balance))
    raw = student()(data.inputs["rgb"])["classes"]
    raw = F.interpolate(raw, size=by_hand.shape[-2:], mode="bilinear", align_corners=False)
    expected = LOSSES["soft"](LOSSES["soft"].Config())(raw, data.soft["classes"], by_hand)
    assert weighted["classes.soft"] == pytest.approx(float(expected.detach()), rel=1e-4)


def test_labels_can_be_switched_off():
    assert set(terms(config(supervised=0.0), batch())) == {
        "classes.soft",
        "water.soft",
        "depth.regression",
        "normals.normals",
    }


def test_frames_without_labels_are_learned_from_the_ensemble_alone():
    found = terms(config(), batch(labels=False))
    assert all(found[t.name] == 0.0 for t in TASKS)
    assert all(value > 0 for name, value in found.items() if "." in name)


def gradients(config: DistillConfig, data: Batch, task: str) -> torch.Tensor:
    """Gradient of a task's distillation term with respect to what the student says, (N, C, h, w)."""

    class Fixed(Student):
        def __init__(self):
            super().__init__("repseg", TASKS, width=4)
            torch.manual_seed(2)
            self.raw = {
                t.name: torch.randn(N, kind_of(t).channels(t), H // 4, W // 4, requires_grad=True) for t in TASKS
            }

        def forward(self, rgb):
            return self.raw

    fixed = Fixed()
    found = StudentObjective(fixed, config, ONES)(data)
    sum(value for name, value in found.items() if name.startswith(f"{task}.")).backward()
    return fixed.raw[task].grad


@pytest.mark.parametrize(("task", "loss"), [("classes", "soft"), ("depth", "regression"), ("normals", "normals")])
def test_pixels_the_members_disagree_on_count_less_where_agreement_is_on(task, loss):
    data = batch()
    for agreement in data.agreement.values():
        agreement.fill_(0.95)
        agreement[:, :, : W // 8] = 0.4
    doubted = slice(0, W // 8)
    on = gradients(config(loss), data, task).abs().sum(1)
    off = gradients(config(loss, agreement=False), data, task).abs().sum(1)
    ratio = on / off
    assert float(ratio[..., doubted].max()) < 0.6 * float(ratio[..., W // 8 :].min())


@pytest.mark.parametrize("agreement", [True, False])
@pytest.mark.parametrize(
    ("task", "loss"), [("classes", "cwd"), ("depth", "regression"), ("normals", "normals"), ("water", "soft")]
)
def test_pixels_outside_the_frame_never_count(task, loss, agreement):
    data = batch()
    data.agreement[task][:, :3] = 0.0
    found = gradients(config(loss, agreement=agreement), data, task)
    assert not found[:, :, :3].any() and found[:, :, 3:].any()


def test_off_means_that_agreement_does_not_matter():
    one, other = batch(), batch()
    for agreement in other.agreement.values():
        agreement.uniform_(0.1, 1.0)
    assert terms(config(agreement=False), one) == terms(config(agreement=False), other)
    assert terms(config(), one) != terms(config(), other)


def test_one_sum_trains_every_parameter():
    trained = student()
    objective = StudentObjective(trained, config(), ONES)
    torch.stack(list(objective(batch()).values())).sum().backward()
    assert all(p.grad is not None and p.grad.any() for p in trained.parameters())

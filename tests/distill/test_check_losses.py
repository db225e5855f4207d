"""A loss and the target store must fit, before anything is trained."""

from __future__ import annotations

import pytest

from edgekit.distill.config import DistillConfig, LossesConfig, TargetsConfig
from edgekit.distill.targets import check_losses
from edgekit.errors import EdgekitError
from edgekit.losses import DETAILS, LOSSES
from edgekit.tasks import Task

SEMANTIC = Task("semantic", "semantic", classes=("a", "b"))
TASKS = {"semantic": SEMANTIC, **{kind: Task(kind, kind) for kind in ("depth", "normals", "binary")}}


def active(*names: str) -> dict:
    return {name: LOSSES[name].Config() for name in names}


@pytest.mark.parametrize("keep", DETAILS)
@pytest.mark.parametrize("name", LOSSES)
def test_a_loss_is_refused_exactly_where_the_store_keeps_less_than_it_needs(name, keep):
    config = TargetsConfig(keep=keep)
    tasks = [TASKS[kind] for kind in LOSSES[name].kinds]
    enough = ["argmax", "topk", "full"].index(keep) >= ["argmax", "topk", "full"].index(LOSSES[name].needs)
    if enough or "semantic" not in LOSSES[name].kinds:
        check_losses(active(name), tasks, config)
        return
    with pytest.raises(EdgekitError) as caught:
        check_losses(active(name), tasks, config)
    assert f"'{name}' needs the {LOSSES[name].needs}" in caught.value.what and f"'{keep}'" in caught.value.what
    assert caught.value.where == "targets.keep"
    assert LOSSES[name].needs in caught.value.fix and f"distill.losses.{name}" in caught.value.fix


@pytest.mark.parametrize("name", LOSSES)
def test_a_loss_that_no_task_can_use_is_refused(name):
    others = [task for kind, task in TASKS.items() if kind not in LOSSES[name].kinds]
    with pytest.raises(EdgekitError) as caught:
        check_losses(active(name), others, TargetsConfig())
    assert caught.value.where == f"distill.losses.{name}"
    assert all(kind in caught.value.what for kind in LOSSES[name].kinds)


def test_a_binary_map_is_always_kept_whole():
    check_losses(active("soft"), [TASKS["binary"]], TargetsConfig(keep="argmax"))


def test_the_recipes_losses_are_the_tables():
    assert set(LossesConfig.model_fields) == set(LOSSES)
    for name, loss in LOSSES.items():
        built = LossesConfig.model_validate({name: {"weight": 2.0}})
        assert type(getattr(built, name)) is loss.Config
        assert set(DistillConfig(losses=built).active()) == {name}


def test_a_loss_of_weight_0_is_off():
    losses = LossesConfig.model_validate({"soft": {"weight": 0.0}, "cwd": {}})
    assert list(DistillConfig(losses=losses).active()) == ["cwd"]


def test_by_default_every_kind_but_binary_maps_has_a_loss_of_its_own():
    kinds = [LOSSES[name].kinds for name in DistillConfig().active()]
    assert len(kinds) == 3 and set().union(*kinds) == {"semantic", "binary", "depth", "normals"}

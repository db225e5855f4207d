"""Two generations of teachers: what the second learns from, what it waits for, and that it is the ensemble."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from edgekit.data.batches import Batch
from edgekit.distill.config import DistillConfig
from edgekit.distill.objective import StudentObjective
from edgekit.distill.self_training import SelfTrainingObjective
from edgekit.pipeline import training
from edgekit.pipeline.parallel import FIRST_TARGETS, STUDENT
from edgekit.pipeline.run import Run, distill_run
from edgekit.pipeline.stages import generations, targets_stage, teacher_config, teacher_stage
from edgekit.pipeline.training import first_targets, train_teacher, train_teachers
from edgekit.recipe.load import load_recipe
from edgekit.recipe.schema import Recipe
from edgekit.students.student import Student
from edgekit.tasks import Task
from edgekit.tasks.modality import RGB
from edgekit.teachers.config import MemberConfig, TeacherConfig
from edgekit.teachers.multimodal import MultiModal
from edgekit.teachers.objective import TeacherObjective

TWO = "teacher.generations=2"


def run_of(photographs: Path, root: Path, *changes: str) -> Run:
    run = Run.of(load_recipe(Recipe, photographs / "tiny.yaml", changes), photographs, root)
    run.begin()
    return run


def states(networks) -> list[dict]:
    return [network.state_dict() for network in networks]


def same(one: dict, other: dict) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)


def test_the_second_generation_is_the_ensemble_however_many_train_at_once(photographs, tmp_path, monkeypatch):
    apart, together = run_of(photographs, tmp_path / "a", TWO), run_of(photographs, tmp_path / "b", TWO)
    distill_run(apart, jobs=1)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    found = distill_run(together)
    names = ["teacher 1, first generation", "teacher 2, first generation", "targets of the first generation"]
    assert list(found["seconds"])[:3] == names and found["ensemble"].startswith("8 passes")
    for one, other in zip(*(states(train_teachers(run.bench())) for run in (apart, together)), strict=True):
        assert same(one, other)
    bench = apart.bench()
    for first, second in zip(train_teachers(bench, 1), train_teachers(bench), strict=True):
        assert not same(first.state_dict(), second.state_dict())
    assert targets_stage(bench).key != targets_stage(bench, 1).key == first_targets(bench)[2]
    stages = sorted(path.name.rpartition("-")[0] for path in (tmp_path / "a" / "stages").iterdir())
    assert stages.count("teacher") == 4 and stages.count("targets") == 2
    log = [json.loads(line)["stage"] for line in (apart.folder / "log.jsonl").read_text().splitlines()]
    assert "teacher 2/2, second generation" in log


def test_the_second_begins_with_the_first(photographs, tmp_path, monkeypatch):
    """With steps that change nothing the second is the first, which has learned."""
    real = training.teacher_config
    still = {"learning_rate": 1e-30, "weight_decay": 0.0}
    monkeypatch.setattr(
        training, "teacher_config",
        lambda recipe, index, generation=1: real(recipe, index, generation).model_copy(
            update=still if generation == 2 else {}
        ),
    )  # fmt: skip
    bench = run_of(photographs, tmp_path, TWO).bench()
    first, second = train_teacher(bench, 1, 1).state_dict(), train_teacher(bench, 1).state_dict()
    torch.manual_seed(bench.recipe.seed * 1000 + 1)
    drawn = MultiModal(bench.recipe.teacher.members[1], bench.modalities, bench.tasks, bench.statistics).state_dict()
    learned = [name for name, value in first.items() if name.endswith("weight") and not torch.equal(value, drawn[name])]
    assert len(learned) > 5
    for name in learned:
        torch.testing.assert_close(second[name], first[name], rtol=0, atol=1e-6)


def test_the_second_waits_for_the_first_and_its_targets(photographs, tmp_path, monkeypatch):
    run, asked = run_of(photographs, tmp_path, TWO), []
    monkeypatch.setattr("edgekit.pipeline.run.train_at_once", lambda folder, jobs, **how: asked.append((jobs, how)))
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    distill_run(run)
    ((jobs, how),) = asked
    first, second = ([("teacher", i, generation) for i in "01"] for generation in "12")
    assert [job for job in jobs if job in (*first, FIRST_TARGETS, *second, STUDENT)] == [
        *first, FIRST_TARGETS, *second, STUDENT
    ]  # fmt: skip
    assert how["after"][FIRST_TARGETS] == first
    assert all(how["after"][job] == [*first, FIRST_TARGETS] for job in second)
    assert set(how["after"][STUDENT]) == {*first, FIRST_TARGETS, *second}
    # a second generation that is left goes on behind the targets, of which a file may be damaged
    done = teacher_stage(run.bench(), 0).folder / "done.json"
    before = (done.parent / "network.pt").read_bytes()
    done.unlink()
    asked.clear()
    distill_run(run)
    assert asked[0][0] == [FIRST_TARGETS, second[0]] and (done.parent / "network.pt").read_bytes() == before


def test_what_each_generation_depends_on(photographs, tmp_path):
    def keys(*changes: str) -> tuple[str, str]:
        bench = run_of(photographs, tmp_path, *changes).bench()
        return teacher_stage(bench, 0, 1).key, teacher_stage(bench, 0).key

    one, two = keys(), keys(TWO)
    assert one[0] == one[1] == two[0] != two[1]
    for change in ("ensemble.flips=false", "distill.agreement=false", "targets.stride=2"):
        first, second = keys(TWO, change)
        assert first == two[0] and second != two[1]
    assert keys(TWO, "distill.train.steps=5") == two
    # the other network is a part of the ensemble that this one learns from
    first, second = keys(TWO, "teacher.members.1.width=8")
    assert first == two[0] and second != two[1]


def test_without_unlabelled_frames_there_is_one(photographs, tmp_path):
    all_labelled = run_of(photographs, tmp_path, TWO, "data.labelled=1.0").bench()
    assert generations(all_labelled) == 1 and generations(run_of(photographs, tmp_path, TWO).bench()) == 2
    assert teacher_stage(all_labelled, 0).key == teacher_stage(all_labelled, 0, 1).key


@pytest.mark.parametrize(("share", "second"), [(1.0, 0.5), (0.25, 0.25)])
def test_half_of_a_batch_is_labelled_at_most(photographs, tmp_path, share, second):
    recipe = run_of(photographs, tmp_path, f"teacher.train.labelled_share={share}").recipe
    assert teacher_config(recipe, 0).labelled_share == share
    assert teacher_config(recipe, 0, 2).labelled_share == second


@pytest.fixture
def batch() -> Batch:
    torch.manual_seed(0)
    return Batch(
        0,
        {"rgb": torch.rand(2, 3, 32, 32) * 255},
        {"semantic": torch.randint(0, 3, (2, 32, 32))},
        {"semantic": torch.rand(2, 3, 8, 8).softmax(1)},
        {"semantic": torch.rand(2, 8, 8)},
    )


def test_its_loss_is_a_teachers_and_that_of_a_student_with_the_same_answers(batch):
    """The same network as teacher and as student: rgb alone, nothing hidden, nothing reconstructed."""
    task = Task("semantic", "semantic", classes=("a", "b", "c"))
    plain = {"rgb": ([0.0] * 3, [255.0] * 3)}
    member = MemberConfig(family="repseg", width=4)
    network = MultiModal(member, [RGB], [task], plain).train()
    config = TeacherConfig(modalities=["rgb"], members=[member], reconstruct={"weight": 0}, train={"precision": "fp32"})
    weights, distill = {"semantic": 2.0}, DistillConfig()
    settings = (network, config, weights, 0)
    first = TeacherObjective(*settings)(batch)
    second = SelfTrainingObjective(*settings, distill=distill)(batch)
    assert torch.equal(first["semantic"], second["semantic"]) and set(second) - set(first) == {"semantic.soft"}

    student = Student("repseg", [task], width=16, mean=(0, 0, 0), std=(255, 255, 255))
    objective = StudentObjective(student, distill, weights)
    visible = torch.ones(2, 1, dtype=torch.bool)
    raw = network(network.standardise(batch.inputs), visible)
    objective.forward = lambda frames: raw
    assert objective(batch)["semantic.soft"].item() == pytest.approx(second["semantic.soft"].item(), rel=1e-5)
    second["semantic.soft"].backward()
    assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in network.parameters())

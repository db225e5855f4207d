"""What the distilled student's weights begin as."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from edgekit.networks.lite import Lite
from edgekit.pipeline.keys import student_start
from edgekit.pipeline.run import Run
from edgekit.pipeline.stages import baseline_stage, student_stage, targets_stage
from edgekit.recipe.load import load_recipe
from edgekit.recipe.schema import Recipe
from edgekit.students.student import load_student

STILL = ("distill.train.steps=1", "distill.train.learning_rate=1e-12", "distill.train.ema=0")  # one step to nowhere
MOVED = "baseline.learning_rate=0.05"


def tiny(photographs: Path, *changes: str) -> Recipe:
    return load_recipe(Recipe, photographs / "tiny.yaml", list(changes))


@pytest.mark.parametrize(
    ("changes", "start"),
    [
        (["distill.start=null"], "labels"),  # the teachers are narrower than the student
        (["distill.start=null", "student.width=4"], "teacher"),
        (["distill.start=null", "student.width=4", "teacher.modalities=[edges]"], "labels"),  # it never saw rgb
        (["distill.start=null", "teacher.members.0.family=safeuav"], "labels"),
        (["distill.start=labels", "student.width=4"], "labels"),
        (["distill.start=nothing", "student.width=4"], "nothing"),
    ],
)
def test_unless_the_recipe_says_it_is_the_teacher_where_that_fits(photographs, changes, start):
    assert student_start(tiny(photographs, *changes)) == start


def kernels(path: Path) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in load_student(path).parameters() if p.ndim == 4])


def test_a_student_that_starts_from_labels_is_the_labels_only_one_before_its_first_step(photographs, tell, tmp_path):
    """And it is trained for that, also where it is not asked for."""
    found = {}
    for start in ("labels", "nothing"):
        options = [a for change in (*STILL, MOVED, f"distill.start={start}") for a in ("--set", change)]
        done = tell("distill", photographs / "tiny.yaml", "--out", tmp_path, "--no-baseline", *options)
        assert done.code == 0, done.err
        found[start] = kernels(Path(done.found["student"]))
        assert "baseline" not in done.found["scores"]
        assert len(list((tmp_path / "stages").glob("baseline-*"))) == 1  # of the first of the two
    (stage,) = (tmp_path / "stages").glob("baseline-*/network.pt")
    torch.testing.assert_close(found["labels"], kernels(stage), atol=1e-6, rtol=0)
    assert not torch.allclose(found["nothing"], kernels(stage), atol=1e-3)


def test_the_students_key_holds_what_it_starts_from(photographs, tmp_path):
    def key(*changes: str) -> str:
        bench = Run.of(tiny(photographs, *changes), photographs, tmp_path).bench()
        return student_stage(bench, targets_stage(bench).key).key

    labels = key("distill.start=labels")
    assert labels != key("distill.start=nothing") != key("distill.start=nothing", "student.seed=1")
    assert labels != key("distill.start=labels", "baseline.learning_rate=1e-4")
    assert key("distill.start=nothing") == key("distill.start=nothing", "baseline.learning_rate=1e-4")


LITE = ("student.name=lite", "student.width=4", "distill.start=nothing")


def lite_weights(path: Path, seed: int) -> Path:
    torch.manual_seed(seed)
    torch.save(Lite(3, 1, stages=4).encoder_state(), path)
    return path


def test_a_pretrained_student_begins_with_its_weights_and_standardises_as_they_were_trained(
    photographs, tell, tmp_path
):
    file = lite_weights(tmp_path / "weights.pth", 3)
    changes = (*LITE, *STILL, f"student.weights={file}", "distill.unless_better=warn")
    options = [a for change in changes for a in ("--set", change)]
    done = tell("distill", photographs / "tiny.yaml", "--out", tmp_path, *options)
    assert done.code in (0, 1), done.err  # an untrained student need not be better than another
    given = torch.load(file, weights_only=True)
    for stage in ("baseline", "student"):
        (found,) = (tmp_path / "stages").glob(f"{stage}-*/network.pt")
        student = load_student(found)
        for name, value in student.network.encoder_state().items():
            if value.ndim == 4:  # norms measure the frames
                torch.testing.assert_close(value, given[name], atol=1e-6, rtol=0)
        assert student.mean.flatten().tolist() == [127.5] * 3 and student.std.flatten().tolist() == [127.5] * 3


def test_the_key_holds_the_content_of_the_weights(photographs, tmp_path):
    def key(*changes: str) -> str:
        return baseline_stage(Run.of(tiny(photographs, *LITE, *changes), photographs, tmp_path).bench()).key

    file = lite_weights(tmp_path / "a.pth", 1)
    first = key(f"student.weights={file}")
    (tmp_path / "b.pth").write_bytes(file.read_bytes())
    assert first == key(f"student.weights={tmp_path / 'b.pth'}") != key("student.weights=none")
    lite_weights(file, 2)
    assert first != key(f"student.weights={file}")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (["student.weights=imagenet"], "'repseg' has none"),
        ([*LITE, "student.weights=nowhere.pth"], "there are no weights for the encoder"),
        ([*LITE, "student.weights=other.pth"], "not those of the encoder"),
        (["teacher.members.0.weights=imagenet"], "repseg does not have"),
    ],
)
def test_weights_that_do_not_fit_are_refused_before_anything_trains(photographs, tell, tmp_path, changes, message):
    torch.save({"conv_stem.weight": torch.ones(32, 3, 3, 3)}, photographs / "other.pth")
    options = [a for change in changes for a in ("--set", change)]
    done = tell("distill", photographs / "tiny.yaml", "--out", tmp_path, *options)
    assert (
        done.code == 2
        and message in done.found["error"]["what"]
        and not list((tmp_path / "stages").glob("*/network.pt"))
    )

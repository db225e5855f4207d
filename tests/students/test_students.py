"""Every row of STUDENTS, the limit, and the checkpoint."""

from __future__ import annotations

import math
import pickle

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from edgekit.errors import EdgekitError
from edgekit.networks import FAMILIES, parameter_count
from edgekit.students.config import StudentConfig
from edgekit.students.registry import PARAMETER_LIMIT, STUDENTS
from edgekit.students.student import Student, load_student
from edgekit.tasks import Task
from edgekit.training.checkpoint import save_checkpoint

TASKS = [
    Task(
        "semantic", "semantic", classes=("a", "b", "c"), colours=((0, 0, 0), (9, 8, 7), (255, 0, 1)), weights=(1, 2, 3)
    ),
    Task("depth", "depth", range=(2.0, 300.0), unit="m"),
    Task("normals", "normals"),
    Task("water", "binary"),
]
DEPTH = {"name": "depth", "kind": "depth"}
CHANNELS = {"semantic": 3, "depth": 1, "normals": 3, "water": 1}


def rgb(*size: int, n: int = 2) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(0).uniform(0, 255, (n, 3, *size)).astype(np.float32))


def narrow(name: str = "repseg", **settings) -> Student:
    torch.manual_seed(0)
    return Student(name, TASKS, width=4, **settings).eval()


@pytest.fixture(params=STUDENTS)
def name(request: pytest.FixtureRequest) -> str:
    return request.param


def test_a_registered_student_is_under_the_limit_and_says_what_it_is_for(name):
    spec = STUDENTS[name]
    assert spec.family in FAMILIES and spec.about
    assert parameter_count(Student(name, TASKS)) <= PARAMETER_LIMIT == 1_000_000
    assert StudentConfig(name=name).name == name


def test_one_map_per_task_at_the_networks_stride(name):
    student = narrow(name)
    stride = student.network.stride
    with torch.no_grad():
        out = student(rgb(37, 50))
    small = (math.ceil(37 / stride), math.ceil(50 / stride))
    assert {n: tuple(o.shape) for n, o in out.items()} == {n: (2, c, *small) for n, c in CHANNELS.items()}


def test_normalisation_is_inside(name):
    mean, std = (90.0, 100.0, 80.0), (50.0, 55.0, 60.0)
    student, bare = narrow(name, mean=mean, std=std), narrow(name, mean=(0, 0, 0), std=(1, 1, 1))
    x = rgb(32, 32)
    normalised = torch.stack([(x[:, c] - mean[c]) / std[c] for c in range(3)], dim=1)
    with torch.no_grad():
        for task, out in student(x).items():
            torch.testing.assert_close(out, bare(normalised)[task], rtol=1e-4, atol=1e-5)


def test_published_sizes():
    """The paper's students have 11 channels in and out; ours sees rgb, so the first layer has 72·n weights less."""
    eight = [Task("semantic", "semantic", classes=tuple("abcdefgh"))]
    for name, published, n in (("safeuav-150k", 158_639, 6), ("safeuav-430k", 438_271, 10)):
        assert parameter_count(Student(name, eight)) == published - 8 * 9 * n - 3 * (n + 1)


def test_over_the_limit_is_refused_with_the_excess():
    with pytest.raises(EdgekitError) as caught:
        Student("repseg", TASKS, width=80)
    count = parameter_count(Student("repseg", TASKS, width=80, allow_over_limit=True))
    assert count > PARAMETER_LIMIT
    assert f"{count:,} parameters" in caught.value.what and f"{count - PARAMETER_LIMIT:,} over" in caught.value.what
    assert caught.value.where == "student.width" and "allow_over_limit" in caught.value.fix


def test_predict_resizes_whole_frames_and_activates(name):
    student = narrow(name, input_scale=0.5)
    x = rgb(40, 64)
    out = student.predict(x, (20, 30))
    with torch.no_grad():
        raw = student(F.interpolate(x, size=(20, 32), mode="bilinear", align_corners=False, antialias=True))
        logits = F.interpolate(raw["semantic"], size=(20, 30), mode="bilinear", align_corners=False)
    torch.testing.assert_close(out["semantic"], logits.softmax(1))
    depth = F.interpolate(raw["depth"], size=(20, 30), mode="bilinear", align_corners=False).clamp(0, 1)
    # the frame at half its size shows everything twice as far away
    metres = 2 * (300 / 2) ** depth / 2
    torch.testing.assert_close(2 * (300 / 2) ** out["depth"], metres.clamp(min=2), rtol=1e-4, atol=1e-4)
    assert {n: tuple(o.shape) for n, o in out.items()} == {n: (2, c, 20, 30) for n, c in CHANNELS.items()}
    assert out["depth"].min() >= 0 and out["depth"].max() <= 1
    torch.testing.assert_close(out["normals"].norm(dim=1), torch.ones(2, 20, 30))
    assert not any(o.requires_grad for o in out.values())


def trained_a_little(name: str) -> Student:
    """A student whose batch norms have seen data."""
    student = narrow(name, mean=(90, 100, 80), std=(50, 55, 60), input_scale=0.75).train()
    with torch.no_grad():
        student(rgb(32, 48))
    return student.eval()


def test_a_checkpoint_comes_back_the_same(name, tmp_path):
    student = trained_a_little(name)
    student.save(tmp_path / "student.pt")
    loaded = load_student(tmp_path / "student.pt")
    assert not loaded.training
    assert (loaded.name, loaded.width, loaded.input_scale, loaded.tasks) == (name, 4, 0.75, TASKS)
    with torch.no_grad():
        for task, out in student(rgb(21, 34)).items():
            assert torch.equal(loaded(rgb(21, 34))[task], out)


def test_a_student_over_the_limit_can_be_read_back(tmp_path):
    Student("repseg", TASKS[:1], width=80, allow_over_limit=True).save(tmp_path / "wide.pt")
    assert load_student(tmp_path / "wide.pt").width == 80


def test_a_missing_checkpoint(tmp_path):
    with pytest.raises(EdgekitError, match="missing") as caught:
        load_student(tmp_path / "none.pt")
    assert caught.value.where == str(tmp_path / "none.pt")


def test_a_damaged_checkpoint_is_noticed(tmp_path):
    path = tmp_path / "student.pt"
    student = trained_a_little("repseg")
    student.save(path)
    whole = path.read_bytes()
    weights = student.network.head.weight.detach().numpy().tobytes()
    place = whole.index(weights[:16])
    for data in (flipped(whole, place + 3, 0x40), whole[: len(whole) // 2], whole[:-10], b"", b"text"):
        path.write_bytes(data)
        with pytest.raises(EdgekitError) as caught:
            load_student(path)
        assert caught.value.where == str(path)


def test_any_flipped_byte_is_noticed_or_harmless(tmp_path):
    path = tmp_path / "student.pt"
    student = trained_a_little("repseg")
    student.save(path)
    whole = path.read_bytes()
    state = student.state_dict()
    rng = np.random.default_rng(0)
    for place in rng.integers(0, len(whole), 60):
        path.write_bytes(flipped(whole, int(place), 1 << int(rng.integers(8))))
        try:
            loaded = load_student(path).state_dict()
        except EdgekitError:
            continue
        assert all(torch.equal(state[key], value) for key, value in loaded.items())


def flipped(data: bytes, place: int, mask: int) -> bytes:
    return data[:place] + bytes([data[place] ^ mask]) + data[place + 1 :]


class Trap:
    """Writes a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


@pytest.mark.parametrize("form", ["torch", "pickle"])
def test_a_malicious_checkpoint_is_refused_and_not_executed(form, tmp_path):
    path, sprung = tmp_path / "student.pt", tmp_path / "sprung"
    content = {"format": 1, "spec": {"student": "repseg"}, "state": Trap(sprung)}
    if form == "torch":
        torch.save(content, path)
    else:
        path.write_bytes(pickle.dumps(content))
    with pytest.raises(EdgekitError):
        load_student(path)
    assert not sprung.exists()
    if form == "pickle":  # the trap is one
        pickle.loads(path.read_bytes())["state"].close()
        assert sprung.exists()


@pytest.mark.parametrize(
    "content",
    [
        {},
        {"format": 2, "spec": {"student": "repseg"}},
        {"format": 1, "spec": {"student": "unheard-of"}},
        {"format": 1, "spec": {"student": "repseg"}},
        {"format": 1, "spec": {"student": "repseg", "tasks": [{"nonsense": 1}], "width": 4, "input_scale": 1.0}},
        {"format": 1, "spec": {"student": "repseg", "tasks": [DEPTH], "width": 4, "input_scale": 1.0}, "state": {}},
        {"format": 1, "spec": {"student": "repseg", "tasks": 3, "width": 4, "input_scale": 1.0}, "state": {}},
    ],
    ids=range(7),
)
def test_something_else_than_a_student_is_refused(content, tmp_path):
    save_checkpoint(tmp_path / "other.pt", content)
    with pytest.raises(EdgekitError, match="not a") as caught:
        load_student(tmp_path / "other.pt")
    assert caught.value.where == str(tmp_path / "other.pt")

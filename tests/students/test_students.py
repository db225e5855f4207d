"""Every row of STUDENTS, the limit, and the checkpoint."""

from __future__ import annotations

import math
import pickle
import re
from dataclasses import asdict

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
from edgekit.tasks.modality import RGB
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


NEAR = Task("near", "modality", channels=1, range=(0.0, 255.0))
HEAT = Task("heat", "modality", channels=1, range=(200.0, 400.0))
SEEN = {"modalities": (HEAT, RGB, NEAR), "mean": (300.0, 90.0, 100.0, 80.0, 40.0), "std": (20.0, 50.0, 55.0, 60.0, 9.0)}


def sensors(*size: int, n: int = 2) -> dict[str, torch.Tensor]:
    rng = np.random.default_rng(1)
    heat, near = (torch.from_numpy(rng.normal(m, s, (n, 1, *size)).astype(np.float32)) for m, s in ((300, 20), (40, 9)))
    return {"rgb": rgb(*size, n=n), "near": near, "heat": heat}


@pytest.mark.parametrize("scale", [1.0, 0.5])
def test_what_is_missing_hidden_or_invalid_is_the_mean(scale):
    student = narrow(**SEEN, may_lack=("heat", "near"), input_scale=scale)
    given = sensors(32, 48)
    mean = given | {"heat": torch.full_like(given["heat"], 300.0)}
    missing = given | {"heat": torch.full_like(given["heat"], torch.nan)}
    frames = student.together(given)
    expected = student.predict(student.together(mean), (32, 48))["water"]
    assert not torch.allclose(student.predict(frames, (32, 48))["water"], expected)
    seen = torch.tensor([[False, True, True]] * 2)
    for found in (student.together(missing), student.together(given, ["heat"]), student.hide(frames, seen)):
        torch.testing.assert_close(student.predict(found, (32, 48))["water"], expected)
    one = student.hide(frames, torch.tensor([[False, True, True], [True, True, False]]))
    assert torch.isnan(one).all(dim=(2, 3)).tolist() == [[True] + [False] * 4, [False] * 4 + [True]]
    assert torch.equal(torch.nan_to_num(one)[0, 1:], frames[0, 1:])


def test_each_modality_is_standardised_by_its_own_statistics():
    student, given = narrow(**SEEN), sensors(32, 48)
    own = {"heat": (300.0, 20.0), "near": (40.0, 9.0)}
    maps = [(given["heat"] - own["heat"][0]) / own["heat"][1]]
    maps += [(given["rgb"][:, i : i + 1] - m) / s for i, (m, s) in enumerate([(90, 50), (100, 55), (80, 60)])]
    maps += [(given["near"] - own["near"][0]) / own["near"][1]]
    with torch.no_grad():
        expected = student.network(torch.cat(maps, dim=1))
        found = student(student.together(given))
    torch.testing.assert_close(torch.cat(list(found.values()), dim=1), expected, rtol=1e-4, atol=1e-5)
    assert {name: c.tolist() for name, c in student.channels().items()} == {"heat": [0], "rgb": [1, 2, 3], "near": [4]}


def test_a_file_says_what_its_student_sees_and_may_lack(tmp_path):
    student = narrow(**SEEN, may_lack=("heat",))
    student.save(tmp_path / "s.pt")
    again, frames = load_student(tmp_path / "s.pt"), student.together(sensors(32, 48))
    assert again.modalities == list(SEEN["modalities"]) and again.may_lack == ("heat",)
    with torch.no_grad():
        assert torch.equal(again(frames)["depth"], student(frames)["depth"])


def test_a_file_says_everything_and_lacks_nothing(tmp_path):
    narrow().save(tmp_path / "s.pt")
    assert load_student(tmp_path / "s.pt").modalities == [RGB]
    file = torch.load(tmp_path / "s.pt", weights_only=True)
    for name in ("width", "input_scale", "tasks", "shape", "modalities", "may_lack"):
        less = {key: value for key, value in file["spec"].items() if key != name}
        torch.save({**file, "spec": less}, tmp_path / "less.pt")
        with pytest.raises(EdgekitError, match=name):
            load_student(tmp_path / "less.pt")


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"modalities": []}, "one modality"),
        ({"may_lack": ["rgb"]}, "only one"),
        ({"may_lack": ["heat"]}, "only one"),
        ({"modalities": [{"name": "../up", "kind": "modality", "channels": 1, "range": [0, 1]}]}, "up"),
        ({"modalities": [{"name": "a", "kind": "modality", "channels": 17, "range": [0, 1]}]}, "at most 16"),
        ({"modalities": [{"name": "a", "kind": "modality", "channels": 0, "range": [0, 1]}]}, "1 to 512"),
        ({"modalities": [{"name": "a", "kind": "depth", "range": [0, 1]}]}, "kind depth"),
    ],
)
def test_a_file_of_a_student_that_sees_what_none_does(tmp_path, wrong, told):
    narrow().save(tmp_path / "s.pt")
    file = torch.load(tmp_path / "s.pt", weights_only=True)
    whole = {"classes": [], "colours": [], "weights": [], "channels": 0, "range": [0, 1], "unit": "", "vector": False}
    wrong = {key: [whole | v if isinstance(v, dict) else v for v in value] for key, value in wrong.items()}
    file["spec"] |= wrong
    save_checkpoint(tmp_path / "s.pt", file)
    with pytest.raises(EdgekitError, match=told):
        load_student(tmp_path / "s.pt")


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
    content = {"format": 2, "spec": {"student": "repseg"}, "state": Trap(sprung)}
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


WHOLE = {"student": "repseg", "tasks": [DEPTH], "width": 4, "input_scale": 1.0, "shape": {}, "may_lack": []}
WHOLE |= {"modalities": [asdict(RGB)]}


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ({}, "not a student of this version"),
        ({"format": 1, "spec": WHOLE, "state": {}}, "not a student of this version"),
        ({"format": 2, "spec": {**WHOLE, "student": "unheard-of"}}, "not a student that is installed"),
        ({"format": 2, "spec": {"student": "repseg"}}, "lacks the field"),
        ({"format": 2, "spec": {**WHOLE, "tasks": [{"nonsense": 1}]}}, "nonsense"),
        ({"format": 2, "spec": {**WHOLE, "tasks": 3}, "state": {}}, "tasks"),
        ({"format": 2, "spec": WHOLE, "state": {}}, "not a whole student"),
    ],
    ids=range(7),
)
def test_something_else_than_a_student_is_refused(content, why, tmp_path):
    save_checkpoint(tmp_path / "other.pt", content)
    with pytest.raises(EdgekitError, match="not a") as caught:
        load_student(tmp_path / "other.pt")
    assert why in caught.value.what
    assert caught.value.where == str(tmp_path / "other.pt")


@pytest.mark.parametrize(
    ("name", "width", "shape"),
    [
        ("repseg", 16, {"blocks": [0, 1], "dilations": [2]}),
        ("repseg", None, {"dilations": [1, 2, 4]}),
        ("lite", 32, {"stages": 5, "dilations": []}),
    ],
)
def test_a_recipe_changes_the_shape_of_a_registered_student(tmp_path, name, width, shape):
    config = StudentConfig(name=name, width=width, shape=shape, input_scale=1.0)
    student = Student(name, TASKS, **config.arguments()).eval()
    spec = STUDENTS[name]
    alike = FAMILIES[spec.family](3, 8, **{**spec.shape, **({"width": width} if width else {}), **shape})
    assert [tuple(p.shape) for p in student.network.parameters()] == [tuple(p.shape) for p in alike.parameters()]
    student.save(tmp_path / "student.pt")
    loaded, frames = load_student(tmp_path / "student.pt"), rgb(32, 48)
    with torch.no_grad():
        for task, map_ in student(frames).items():
            torch.testing.assert_close(loaded(frames)[task], map_)


@pytest.mark.parametrize(
    ("name", "shape", "said"),
    [
        ("repseg", {"stages": 4}, "no 'stages' in its shape; it has blocks, dilations"),
        ("repseg", {"blocks": 3}, "'blocks' is like"),
        ("repseg", {"blocks": [1, 65]}, "numbers from 0 to 64"),
        ("repseg", {"blocks": [1]}, "makes no network"),
        ("repseg", {"dilations": [0]}, "makes no network"),
        ("repseg", {"dilations": [1] * 17}, "at most 16"),
        ("lite", {"stages": 6}, "makes no network"),
        ("lite", {"width": 8}, "no 'width' in its shape"),
        ("safeuav-150k", {"blocks": [1, 2]}, "it has none"),
    ],
)
def test_a_shape_that_makes_no_network_is_refused(name, shape, said):
    with pytest.raises(ValueError, match=re.escape(said)):
        StudentConfig(name=name, shape=shape)

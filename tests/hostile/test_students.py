"""Students, runs, markers, sidecars and measurements whose parts are of other types, sizes or names."""

from __future__ import annotations

import io
import json
import os
import shutil
import zipfile

import pytest
import torch

from tools.fuzzing.sandbox import call, command


@pytest.fixture
def student(made, tmp_path):
    """``student(edit)`` writes the whole student with its parts edited; the path."""

    def write(edit):
        file = torch.load(made.student, weights_only=True)
        edit(file)
        torch.save(file, tmp_path / "student.pt")
        return tmp_path / "student.pt"

    return write


def task(**changes):
    return lambda file: file["spec"]["tasks"][0].update(changes)


def spec(**changes):
    return lambda file: file["spec"].update(changes)


def state(value, name="network.stem.weight"):
    def edit(file):
        key = name if name in file["state"] else next(iter(file["state"]))
        file["state"][key] = value

    return edit


def without_numbers(file):
    for tensor in file["state"].values():
        if tensor.is_floating_point():
            tensor.fill_(float("nan"))


STUDENTS = {
    "width": spec(width=8192),
    "width of a text": spec(width="8"),
    "width below": spec(width=-4),
    "width beyond": spec(width=10**15),
    "no width": spec(width=None),
    "scale": spec(input_scale=0.0),
    "scale of a text": spec(input_scale="x"),
    "scale not a number": spec(input_scale=float("nan")),
    "scale beyond": spec(input_scale=1e9),
    "shape": spec(shape={"blocks": [10**9, 1]}),
    "shape of texts": spec(shape={"dilations": "24"}),
    "shape of no end": spec(shape={"dilations": [1] * 10**6}),
    "tasks": spec(tasks=3),
    "no tasks": spec(tasks=[]),
    "tasks of texts": spec(tasks=["semantic"]),
    "name": spec(student=["repseg"]),
    "task's name is absolute": task(name="/tmp/evil"),
    "task's name leads up": task(name="../../evil"),
    "task's name is a number": task(name=3),
    "task's name commands": task(name="\x1b[31m"),
    "kind": task(kind="nothing"),
    "kind of a list": task(kind=["semantic"]),
    "kind that is only seen": task(kind="modality", channels=3),
    "classes": task(classes=[1, 2, 3]),
    "classes of a text": task(classes="abc"),
    "no classes": task(classes=[]),
    "many classes": task(classes=[f"c{i}" for i in range(100_000)]),
    "colours": task(colours=[[0, 0, 300]] * 3),
    "colours of texts": task(colours=["red", "red", "red"]),
    "range": lambda file: file["spec"]["tasks"][1].update(range=[5.0, 1.0]),
    "range of texts": lambda file: file["spec"]["tasks"][1].update(range=["a", "b"]),
    "range not finite": lambda file: file["spec"]["tasks"][1].update(range=[1.0, float("inf")]),
    "two of a name": lambda file: file["spec"]["tasks"].append(file["spec"]["tasks"][0]),
    "spec": lambda file: file.update(spec=[]),
    "state": lambda file: file.update(state=[1, 2]),
    "state of numbers": state(3),
    "state of other shape": state(torch.zeros(1)),
    "state that is expanded": state(torch.zeros(1).expand(10**11)),
    "state that is sparse": state(torch.zeros(2, 2).to_sparse()),
    "state not finite": without_numbers,
    "deviation": state(torch.zeros(3, 1, 1), "std"),
    "format": lambda file: file.update(format="2"),
}


@pytest.mark.parametrize("name", STUDENTS)
def test_students(refused, student, name):
    refused("lint", student(STUDENTS[name]), "--board", "orin-nano-8gb", "--size", "32x32")


@pytest.mark.parametrize("name", ["width", "state not finite"])
def test_nor_are_they_exported(refused, made, student, name):
    path = student(STUDENTS[name])

    def make(box, outside):
        frames = shutil.copytree(made.root / "photographs" / "val" / "images", box / "frames")
        return command("export", path, "--frames", frames, "--target", "onnx", "--out", box / "out")

    refused(make)


@pytest.mark.parametrize("how", ["bomb", "cut", "deflated", "pickle", "not a zip", "empty", "many members"])
def test_files_of_students(refused, made, tmp_path, how):
    path, content = tmp_path / "student.pt", made.student.read_bytes()
    if how == "cut":
        path.write_bytes(content[: len(content) // 2])
    elif how in ("pickle", "not a zip", "empty"):
        path.write_bytes(
            {"pickle": b"\x80\x02cos\nsystem\nX\x04\0\0\0true\x85R.", "not a zip": b"x" * 99, "empty": b""}[how]
        )
    else:
        with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as new:
            for name in old.namelist():
                big = how == "bomb" and name.endswith("/data/0")
                if big:
                    with new.open(name, "w", force_zip64=True) as file:
                        for _ in range(10):
                            file.write(bytes(10 << 20))
                else:
                    new.writestr(name, old.read(name))
            for i in range(21_000 if how == "many members" else 0):
                new.writestr(f"archive/extra/{i}", b"")
    refused("lint", path, "--board", "orin-nano-8gb", "--size", "32x32")


MARKERS = [
    {"files": {"/dev/zero": "0" * 64}},
    {"files": {"../../x": "0" * 64}},
    {"files": {"a\0b": "0"}},
    {"files": {"x": 3}},
    {"files": []},
    {"result": 3},
    {"result": {"seconds": "1"}},
    {"result": {"seconds": float("inf")}},
    {"digest": None},
    "no digest",
]


@pytest.mark.parametrize("change", MARKERS)
def test_markers_of_stages_are_not_believed(attempt, tmp_path, change):
    def read():
        from edgekit.pipeline.stage import Stage, _digest

        stage = Stage(tmp_path, "teacher", "0123456789")
        stage.folder.mkdir()
        (stage.folder / "network.pt").write_bytes(b"x")
        stage.finish({"seconds": 1}, ["network.pt"])
        assert stage.result() == {"seconds": 1}
        path = stage.folder / "done.json"
        done = json.loads(path.read_text())
        if change == "no digest":
            done["result"] = {"seconds": 2}
            del done["digest"]
        else:
            done |= change
            if "digest" not in change:
                done["digest"] = _digest(done)
        path.write_text(json.dumps(done))
        assert stage.result() is None

    assert attempt(lambda box, outside: call(read)).code == 0


@pytest.mark.parametrize(
    "field",
    ["schema", "plan", "plan_bytes", "installed", "layers", "command", "created", "lane", "model_sha256", "notes"],
)
@pytest.mark.parametrize("value", [None, 3, "x", [], {}, [3], {"a": 3}, "9" * 400], ids=repr)
def test_sidecars_of_engines(attempt, tmp_path, field, value):
    from tools.fuzzing import bases

    bases._sidecar(tmp_path)
    path = tmp_path / "x.plan.json"
    told = json.loads(path.read_text())
    kind = type(told[field])
    told[field] = value
    path.write_text(json.dumps(told))

    def read():
        from edgekit.runtime.tensorrt.sidecar import Installed, check_sidecar, read_sidecar

        sidecar = read_sidecar(tmp_path / "x.plan")
        check_sidecar(sidecar, tmp_path / "x.plan", Installed("10.3.0", "Orin", "8.7", "aarch64"), tmp_path, "0" * 64)

    outcome = attempt(lambda box, outside: call(read))
    assert outcome.code == 2 or (isinstance(value, kind) and outcome.code == 0), outcome.err


@pytest.mark.parametrize("kind", ["zero", "hole", "fifo"])
@pytest.mark.parametrize(
    "words",
    ["lint student.pt --board orin-nano-8gb", "bench report a.json", "bench report rows.jsonl", "bench suite a.yaml"],
)
def test_endless_files(refused, tmp_path, kind, words):
    words = [str(tmp_path / word) if "." in word else word for word in words.split()]
    path = next(word for word in words if word.startswith(str(tmp_path)))
    if kind == "zero":
        os.symlink("/dev/zero", path)
    elif kind == "fifo":
        os.mkfifo(path)
    else:
        with open(path, "wb") as file:
            file.truncate(20 << 30)
    refused(*words)


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    from tools.fuzzing import bases

    root = tmp_path_factory.mktemp("measured")
    bases._measurements(root)
    return root


def fields(document, path=()):
    yield from ((*path, key) for key in document)
    for key, value in document.items():
        if isinstance(value, dict):
            yield from fields(value, (*path, key))


@pytest.mark.parametrize(
    "value",
    [None, True, "x", [], {}, [None], "@1e999", '@"\\ud800"', "@" + "[" * 100_000],
    ids=lambda v: repr(v)[:12],
)
def test_measurements_with_fields_of_other_types(attempt, measured, tmp_path, value):
    """Every field in turn, in one child."""
    document = json.loads((measured / "measurement.json").read_text())
    whole = json.dumps(document)

    def make(box, outside):
        def act():
            from edgekit.cli.main import main

            worst = 0
            for path in fields(document):
                if path[0] == "timings" and path[1:2] not in ((), ("graph",)):  # the others are alike
                    continue
                changed = json.loads(whole)
                holder = changed
                for key in path[:-1]:
                    holder = holder[key]
                raw = isinstance(value, str) and value.startswith("@")
                holder[path[-1]] = "@@" if raw else value
                text = json.dumps(changed)
                (box / "a.json").write_text(text.replace('"@@"', value[1:]) if raw else text)
                (box / "b.json").write_text(whole)
                for words in (("report", box / "a.json"), ("compare", box / "a.json", box / "b.json")):
                    code = main(["bench", *map(str, words)])
                    if code not in (0, 1, 2):
                        print("FIELD", path, words[0])
                        worst = code
            return worst

        return act

    assert attempt(make, seconds=60).code == 0

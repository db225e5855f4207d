"""Bundles and students that would read or write outside their folder, or pass without being compared."""

from __future__ import annotations

import shutil

import onnx
import pytest
import torch
from onnx import TensorProto

from tools.fuzzing.sandbox import command

ON = ("--precision", "fp32", "--threads", "1")


@pytest.mark.parametrize("place", ["{outside}/canary.txt", "../outside/canary.txt", "etc/passwd"])
@pytest.mark.parametrize("name", ["verify", "lint"])
def test_weights_in_other_files_are_refused_and_not_read(refused, change, bundle, place, name):
    def make(box, outside):
        model = onnx.load(bundle / "fp32.onnx", load_external_data=False)
        tensor = model.graph.initializer[0]
        tensor.ClearField("raw_data")
        tensor.data_location = TensorProto.EXTERNAL
        for key, value in (("location", place.format(outside=outside)), ("offset", "0"), ("length", "12")):
            tensor.external_data.add(key=key, value=value)
        (bundle / "fp32.onnx").write_bytes(model.SerializeToString())
        change()
        if name == "verify":
            return command("verify", bundle, *ON)
        return command("lint", bundle / "fp32.onnx", "--board", "orin-nano-8gb")

    refused(make)


def test_nor_are_those_of_an_attribute(refused, tmp_path):
    def make(box, outside):
        value = TensorProto(name="v", data_type=TensorProto.FLOAT, dims=[3], data_location=TensorProto.EXTERNAL)
        value.external_data.add(key="location", value=f"{outside}/canary.txt")
        node = onnx.helper.make_node("Constant", [], ["y"], value=value)
        answer = onnx.helper.make_tensor_value_info("y", TensorProto.FLOAT, [3])
        model = onnx.helper.make_model(onnx.helper.make_graph([node], "g", [], [answer]))
        (tmp_path / "graph.onnx").write_bytes(model.SerializeToString())
        return command("lint", tmp_path / "graph.onnx", "--board", "orin-nano-8gb")

    refused(make, says="in another file")


@pytest.fixture
def renamed(made, tmp_path):
    """A function that writes the whole student with its first task renamed; the path."""

    def renamed(name):
        file = torch.load(made.student, weights_only=True)
        file["spec"]["tasks"][0]["name"] = name
        torch.save(file, tmp_path / "student.pt")
        return tmp_path / "student.pt"

    return renamed


def exported(made, path, *, then=()):
    def make(box, outside):
        frames = shutil.copytree(made.root / "photographs" / "val" / "images", box / "frames")
        options = ("--frames", frames, "--target", "cpu", "--precision", "fp32", "--out", box / "out")
        export = command("export", path, *options)
        return lambda: export() or next(filter(None, (command(*c, box / "out")() for c in then)), 0)

    return make


@pytest.mark.parametrize("name", ["/tmp/evil", "../../evil", "a/b", 3, "\x1b[31m", ""])
def test_a_task_whose_name_is_a_path_is_refused(refused, made, renamed, name):
    refused(exported(made, renamed(name)))


def test_a_published_task_in_brackets_is_exported_and_opens(attempt, made, renamed):
    """``buildings(nearby)`` of Dronescapes."""
    then = (("bundle", "verify"), ("verify", "--threads", "1"))
    assert attempt(exported(made, renamed("buildings(nearby)"), then=then), seconds=60).code == 0


@pytest.mark.parametrize("output", ["no measure", "no limit", "one output less", "nothing"])
def test_what_was_not_compared_does_not_hold(attempt, change, output):
    def edit(manifest):
        tolerance = manifest["golden"]["tolerance"]["onnxruntime/fp32"]
        name = sorted(tolerance)[0]
        if output == "no measure":
            tolerance[name] = {}
        elif output == "no limit":
            tolerance[name] = {"error": float("inf")}
        elif output == "one output less":
            del tolerance[name]
        else:
            tolerance.clear()

    outcome = attempt("verify", change(edit), *ON)
    assert outcome.code == 2 and "holds" not in outcome.out, outcome.out


def test_the_same_bundle_holds_unchanged(attempt, change):
    outcome = attempt("verify", change(), *ON)
    assert outcome.code == 0 and "all outputs hold" in outcome.out

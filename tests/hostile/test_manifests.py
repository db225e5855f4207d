"""Manifests that contradict their graph, promise or impossible sizes."""

from __future__ import annotations

import pytest

from edgekit.bundle.bundle import open_bundle

ON = ("--threads", "1")


def every_artifact(edit):
    def apply(manifest):
        for artifact in manifest["artifacts"]:
            edit(artifact)

    return apply


def outputs(field, value):
    return every_artifact(lambda artifact: [output.update({field: value}) for output in artifact["outputs"]])


def set_in(*path_and_value):
    *path, last, value = path_and_value

    def apply(manifest):
        holder = manifest
        for key in path:
            holder = holder[key]
        holder[last] = value

    return apply


DISAGREE = {
    "stride": outputs("stride", 8),
    "stride of the student": set_in("student", "stride", 16),
    "output shape": outputs("shape", [1, 7, 9]),
    "output type": outputs("dtype", "float64"),
    "input shape": every_artifact(lambda a: a["input"].update(shape=[1, 640, 960, 3])),
    "input batch": every_artifact(lambda a: a["input"].update(shape=[100_000, 64, 96, 3])),
    "input type": every_artifact(lambda a: a["input"].update(dtype="float32")),
    "form": every_artifact(lambda a: a["outputs"][0].update(form="probabilities")),
    "size": set_in("preprocessing", "size", [128, 96]),
    "size beyond": set_in("preprocessing", "size", [10**6, 10**6]),
    "fewer classes": lambda m: m["tasks"][0].update(classes=["a"], colours=[[0, 0, 0]]),
    "more classes": lambda m: m["tasks"][0].update(classes=[f"c{i}" for i in range(250)], colours=[[0, 0, 0]] * 250),
    "colours": lambda m: m["tasks"][0].update(colours=[[0, 0, 0]]),
    "colour beyond": lambda m: m["tasks"][0].update(colours=[[0, 0, 300]] * 3),
    "range": lambda m: m["tasks"][1].update(range=[100.0, 1.0]),
    "range at zero": lambda m: m["tasks"][1].update(range=[0.0, 0.0]),
    "range beyond": lambda m: m["tasks"][1].update(range=[1.0, 1e308]),
    "profile": every_artifact(lambda a: a.update(profile={"min": [1], "opt": [1], "max": [1]})),
    "profile beyond": every_artifact(
        lambda a: a.update(profile={"min": [1, 64, 96, 3], "opt": [1, 64, 96, 3], "max": [10**6, 10**5, 10**5, 3]})
    ),
    "opset": every_artifact(lambda a: a.update(opset=3)),
    "golden frames": set_in("golden", "count", 10**9),
    "std": set_in("preprocessing", "std", [1e-300, 1.0, 1.0]),
    "depth scale": set_in("preprocessing", "depth_scale", 1e300),
    "width": set_in("student", "width", -1),
    "name of the student": set_in("student", "name", "../../x"),
    "name of a task": lambda m: m["tasks"][0].update(name="/tmp/x"),
    "version": every_artifact(lambda a: a.update(tensorrt=["eight", None])),
}


@pytest.mark.parametrize("name", DISAGREE)
def test_a_manifest_that_contradicts_its_graph(refused, change, name):
    """Refused when it is opened; what is wrong with the golden file, when that is read."""
    refused(*(("verify",) if name == "golden frames" else ("bundle", "verify")), change(DISAGREE[name]))


def test_the_whole_bundle_passes(attempt, change):
    """What the cases above change works otherwise."""
    bundle = change()
    assert open_bundle(bundle)
    assert attempt("verify", bundle, *ON).code == 0

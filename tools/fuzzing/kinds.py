"""What is mutated, and which command is given it: one function per kind of input."""

from __future__ import annotations

import contextlib
import hashlib
import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path

from tools.fuzzing import graphs, packed
from tools.fuzzing.bases import encoded, pack
from tools.fuzzing.mutate import NAMES, YAML, dump_json, mutate_bytes, mutate_text, mutate_tree
from tools.fuzzing.sandbox import Act, call, command

Make = Callable[[random.Random, Path, Path, Path], Act]
"""(random numbers, folder of the bases, the case's folder, the folder outside of it) → what to do."""

_ON = ("--threads", "1")


def recipes(rng: random.Random, bases: Path, box: Path, outside: Path) -> Act:
    shutil.copytree(bases / "photographs", box / "photographs")
    recipe = box / "tiny.yaml"
    text = (bases / "tiny.yaml").read_text()
    if rng.random() < 0.4:
        import yaml

        tree = yaml.safe_load(text)
        if rng.random() < 0.3:
            tree["data"] |= {"class_dict": "../class_dict.csv", "scene_regex": rng.choice(["^f", "(f)(.*)", "x"])}
            del tree["data"]["class_names"]
        recipe.write_text(dump_json(mutate_tree(rng, tree)))  # JSON is YAML
    else:
        recipe.write_bytes(mutate_text(rng, text))
    table = (bases / "class_dict.csv").read_text()
    (box / "class_dict.csv").write_bytes(mutate_text(rng, table) if rng.random() < 0.5 else table.encode())
    options = []
    for _ in range(rng.choice([0, 0, 0, 1, 2])):
        key = rng.choice(
            ["student.width", "data.root", "tasks", "teacher.members.0.width", "seed", "data", rng.choice(NAMES)]
        )
        options += ["--set", f"{key}={rng.choice([*YAML, *NAMES])}".replace("\0", "")]
    return command("recipe", rng.choice(["check", "check", "show"]), recipe, *options)


def images(rng: random.Random, bases: Path, box: Path, outside: Path) -> Act:
    form = rng.choice(["PNG", "PNG", "JPEG", "TIFF", "WEBP", "BMP", "GIF", "EPS", "PPM", "film"])
    name = "f0" + rng.choice([".png", ".jpg", ".tif", ".webp", ".bmp"])
    if form == "film":
        name = "f0" + rng.choice([".mp4", ".avi", ".mkv", ".txt"])
        content = packed.film(rng, outside)
    else:
        content = packed.mutate_png(rng, encoded("PNG")) if form == "PNG" else mutate_bytes(rng, encoded(form))
    if form == "film" or rng.random() < 0.4:
        (box / name).write_bytes(content)
        output = rng.choice(["out", "out.mp4", "out.jpg"])
        shutil.copytree(bases / "bundle", box / "bundle")
        return command(
            "run", box / "bundle", "--input", box / name, "--output", box / output, "--precision", "fp32", *_ON
        )
    shutil.copytree(bases / "photographs", box / "photographs")
    (box / "tiny.yaml").write_text((bases / "tiny.yaml").read_text())
    folder = box / "photographs" / "train" / rng.choice(["images", "labels"])
    (folder / "f0.png").unlink()
    with contextlib.suppress(OSError, ValueError):
        (folder / (name if rng.random() < 0.8 else f"{rng.choice(NAMES)}.png")).write_bytes(content)
    options = ["--set", "data.on_bad_file=skip"] if rng.random() < 0.3 else []
    return command("recipe", "check", box / "tiny.yaml", *options)


def npz(rng: random.Random, bases: Path, box: Path, outside: Path) -> Act:
    if rng.random() < 0.5:
        shutil.copytree(bases / "bundle", box / "bundle")
        golden = box / "bundle" / "golden.npz"
        golden.write_bytes(packed.mutate_npz(rng, golden.read_bytes()))
        rehash(box / "bundle")
        return command(*rng.choice([["verify"], ["verify", "--json"]]), box / "bundle", "--precision", "fp32", *_ON)
    shutil.copytree(bases / "sets", box / "sets")
    (box / "converted.yaml").write_text((bases / "converted.yaml").read_text())
    path = rng.choice(sorted((box / "sets").rglob("*.npz")))
    path.write_bytes(packed.mutate_npz(rng, path.read_bytes()))
    return command("recipe", "check", box / "converted.yaml")


def manifest(rng: random.Random, bases: Path, box: Path, outside: Path) -> Act:
    shutil.copytree(bases / "bundle", box / "bundle")
    path = box / "bundle" / "manifest.json"
    document = json.loads(path.read_text())
    text = dump_json(mutate_tree(rng, document))
    path.write_bytes(mutate_bytes(rng, text.encode()) if rng.random() < 0.05 else text.encode("utf-8", "surrogatepass"))
    if rng.random() < 0.1:
        with contextlib.suppress(OSError, ValueError):
            stray = box / "bundle" / rng.choice(NAMES)
            if stray.resolve().is_relative_to(box.resolve()):  # a name may lead out, and this tool follows none
                stray.write_text("stray")
    photograph = shutil.copy(bases / "photographs" / "train" / "images" / "f0.png", box)
    return command(
        *rng.choice(
            [
                ["bundle", "inspect", box / "bundle"],
                ["bundle", "inspect", box / "bundle", "--json"],
                ["bundle", "verify", box / "bundle"],
                ["verify", box / "bundle", *_ON],
                ["verify", box / "bundle", *_ON],
                ["run", box / "bundle", "--input", photograph, "--output", box / "out", *_ON],
                ["run", box / "bundle", "--input", photograph, "--output", box / "out", *_ON],
                ["lint", box / "bundle", "--board", "orin-nano-8gb"],
                ["estimate", box / "bundle", "--board", "xavier-nx-8gb", "--jetpack", "5.1.2"],
            ]
        )
    )


def onnx(rng: random.Random, bases: Path, box: Path, outside: Path) -> Act:
    file = rng.choice(["fp32.onnx", "int8.onnx", "body.onnx"])
    content = graphs.mutate(rng, (bases / "bundle" / file).read_bytes(), outside)
    if rng.random() < 0.5:
        (box / "graph.onnx").write_bytes(content)
        size = rng.choice([[], ["--size", "64x96"], ["--size", "128x128"]])
        look = rng.choice([["lint"], ["lint", "--dla"], ["estimate"]])
        return command(*look, box / "graph.onnx", "--board", rng.choice(["orin-nano-8gb", "orin-nx-16gb"]), *size)
    shutil.copytree(bases / "bundle", box / "bundle")
    (box / "bundle" / file).write_bytes(content)
    rehash(box / "bundle")
    artifact = {
        "fp32.onnx": ["--precision", "fp32"],
        "int8.onnx": ["--precision", "int8"],
        "body.onnx": ["--lane", "cache"],
    }[file]
    photograph = shutil.copy(bases / "photographs" / "train" / "images" / "f0.png", box)
    if rng.random() < 0.3:
        return command("run", box / "bundle", "--input", photograph, "--output", box / "out", *artifact, *_ON)
    return command("verify", box / "bundle", *artifact, *_ON)


def tar(rng: random.Random, bases: Path, box: Path, outside: Path) -> Act:
    archive = box / rng.choice(["b.tar", "b.tar", "a b.tar"])
    if rng.random() < 0.5:
        archive.write_bytes(packed.mutate_tar(rng, (bases / "bundle.tar").read_bytes()))
    else:
        packed.write_tar(rng, bases / "bundle", archive, outside)
    return command("bundle", rng.choice(["verify", "inspect"]), archive)


def runs(rng: random.Random, bases: Path, box: Path, outside: Path) -> Act:
    shutil.copytree(bases / "runs", box / "runs")
    run = next(path.parent for path in (box / "runs").glob("*/run.json"))
    about = json.loads((run / "run.json").read_text())
    files = [path for path in sorted((box / "runs").rglob("*.json")) if path.name in ("run.json", "done.json")]
    path = rng.choice([*files, run / "run.json"])
    if rng.random() < 0.75:
        tree = json.loads(path.read_text())
        text = dump_json(mutate_tree(rng, tree))
        if path.name == "done.json" and rng.random() < 0.6:
            with contextlib.suppress(ValueError, TypeError, AttributeError, RecursionError):  # what it became
                changed = {key: value for key, value in json.loads(text).items() if key != "digest"}
                changed["digest"] = hashlib.sha256(json.dumps(changed, sort_keys=True).encode()).hexdigest()
                text = json.dumps(changed)
        path.write_text(text)
    else:
        other = rng.choice(
            [p for p in sorted((box / "runs").rglob("*")) if p.is_file() and p.suffix in (".pt", ".npz", ".yaml")]
        )
        other.write_bytes(mutate_bytes(rng, other.read_bytes()))
        if other.name == "recipe.yaml":
            about["recipe"] = hashlib.sha256(other.read_bytes()).hexdigest()
            (run / "run.json").write_text(json.dumps(about))
    return command(*rng.choice([["evaluate", run], ["evaluate", run], ["distill", run, "--no-baseline"]]))


def students(rng: random.Random, bases: Path, box: Path, outside: Path) -> Act:
    (box / "student.pt").write_bytes(packed.mutate_student(rng, (bases / "student.pt").read_bytes(), outside))
    if rng.random() < 0.9:
        return command("lint", box / "student.pt", "--board", "orin-nano-8gb", "--size", "32x32")
    frames = shutil.copytree(bases / "photographs" / "val" / "images", box / "frames")
    return command("export", box / "student.pt", "--frames", frames, "--target", "onnx", "--out", box / "exported")


def sidecars(rng: random.Random, bases: Path, box: Path, outside: Path) -> Act:
    if rng.random() < 0.5:
        shutil.copytree(bases / "sets", box / "sets")
        (box / "converted.yaml").write_text((bases / "converted.yaml").read_text())
        path = box / "sets" / "edgekit.json"
        path.write_text(dump_json(mutate_tree(rng, json.loads(path.read_text()))))
        if rng.random() < 0.3:
            return command("data", "convert", box / "converted.yaml", "--out", box / "again")
        return command("recipe", "check", box / "converted.yaml")
    shutil.copy(bases / "x.plan", box / "x.plan")
    told = json.loads((bases / "x.plan.json").read_text())
    (box / "x.plan.json").write_text(dump_json(mutate_tree(rng, told)))

    def read() -> None:
        from edgekit.runtime.tensorrt.sidecar import Installed, check_sidecar, read_sidecar

        sidecar = read_sidecar(box / "x.plan")
        check_sidecar(sidecar, box / "x.plan", Installed("10.3.0", "Orin", "8.7", "aarch64"), box, "0" * 64)

    return call(read)


def bench(rng: random.Random, bases: Path, box: Path, outside: Path) -> Act:
    kind = rng.choice(["report", "compare", "rows", "suite"])
    if kind == "suite":
        import yaml

        text = (bases / "suite.yaml").read_text()
        tree = rng.random() < 0.6
        changed = dump_json(mutate_tree(rng, yaml.safe_load(text))).encode() if tree else mutate_text(rng, text)
        (box / "suite.yaml").write_bytes(changed)

        def read() -> None:
            from edgekit.bench.suite import read_suite

            suite = read_suite(box / "suite.yaml")
            [(cell.label, cell.key("0", suite.plan)) for cell in suite.cells()]

        return call(read)
    if kind == "rows":
        lines = (bases / "rows.jsonl").read_text().splitlines()
        at = rng.randrange(len(lines))
        lines[at] = dump_json(mutate_tree(rng, json.loads(lines[at])))
        (box / "rows.jsonl").write_text("\n".join(lines) + "\n")
        return command("bench", "report", box / "rows.jsonl", *rng.choice([[], ["--html", box / "x.html"]]))
    document = json.loads((bases / "measurement.json").read_text())
    (box / "a.json").write_text(dump_json(mutate_tree(rng, document)))
    if kind == "compare":
        return command("bench", "compare", box / "a.json", shutil.copy(bases / "measurement.json", box))
    return command("bench", "report", box / "a.json", *rng.choice([[], ["--html", box / "x.html"]]))


KINDS: dict[str, Make] = {
    make.__name__: make for make in (recipes, images, npz, manifest, onnx, tar, runs, students, sidecars, bench)
}


def rehash(folder: Path) -> None:
    """Make the manifest agree with its files again, as someone who means to deceive would."""
    path = folder / "manifest.json"
    document = json.loads(path.read_text())
    document["files"] = {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in document["files"]}
    path.write_text(json.dumps(document))


__all__ = ["KINDS", "pack", "rehash"]

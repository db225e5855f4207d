"""Recognising what was given in place of a bundle, so that the error can say what to give instead."""

from __future__ import annotations

import zipfile
from pathlib import Path

from edgekit.errors import EdgekitError

_EXPORT = "give the directory or .tar that `edgekit export` made"
_BY_SUFFIX = {
    ".onnx": ("an ONNX graph", "give the bundle that it came from; to make one: `edgekit export RUN`"),
    ".engine": ("a TensorRT engine", "give its bundle, and this file by --engine"),
    ".plan": ("a TensorRT engine", "give its bundle, and this file by --engine"),
    ".rtx": ("an engine of TensorRT for RTX", "give its bundle, and this file by --engine"),
    ".yaml": ("a recipe or a suite", "distil it first (`edgekit distill`), export the run, and give the bundle"),
    ".yml": ("a recipe or a suite", "distil it first (`edgekit distill`), export the run, and give the bundle"),
    ".npz": ("a file of arrays", _EXPORT),
    ".json": ("one file of a bundle, or a report", f"{_EXPORT}, whole"),
}
_COMPRESSED = {b"\x1f\x8b": "gunzip", b"BZh": "bunzip2", b"\xfd7zXZ\x00": "unxz", b"\x28\xb5\x2f\xfd": "unzstd"}
_MODEL = ("a PyTorch file", "export it first (`edgekit export STUDENT.pt --frames DIR`), and give the bundle of that")


def what_it_is(path: Path) -> EdgekitError | None:
    """An error that names what ``path`` is instead of a bundle; None where it may be a bundle's .tar or directory."""
    found = _folder(path) if path.is_dir() else _file(path)
    if found is None:
        return None
    return EdgekitError(f"'{path.name}' is no bundle but {found[0]}", where=str(path), fix=found[1])


def _folder(path: Path) -> tuple[str, str] | None:
    if (path / "manifest.json").exists():
        return None
    if (path / "student.pt").exists() or (path / "recipe.yaml").exists():
        return "a run", f"export it first (`edgekit export {path}`), and give the bundle of that"
    inside = sorted(child.parent for child in path.glob("*/manifest.json"))
    inside += sorted(child for child in path.glob("*.tar"))
    return ("a folder of bundles", f"give one of them: {', '.join(map(str, inside[:3]))}") if inside else None


def _file(path: Path) -> tuple[str, str] | None:
    if not path.is_file():  # reading a pipe or a device may never end
        return None
    try:
        with open(path, "rb") as file:
            start = file.read(8)
    except OSError:
        return None  # reported when it is read
    for magic, tool in _COMPRESSED.items():
        if start.startswith(magic):
            return "a compressed archive", f"give the plain .tar (`{tool} {path}`), or unpack it and give the directory"
    if start.startswith(b"PK\x03\x04"):
        if path.suffix.lower() in _BY_SUFFIX:
            return _BY_SUFFIX[path.suffix.lower()]
        return _MODEL if _holds_pickle(path) else ("a .zip", f"unpack it and give the directory (`unzip {path}`)")
    if start.startswith(b"\x80\x02"):  # as torch saved before 1.6
        return _MODEL
    return _BY_SUFFIX.get(path.suffix.lower())


def _holds_pickle(path: Path) -> bool:
    try:
        with zipfile.ZipFile(path) as archive:
            return any(name.endswith(("data.pkl", "constants.pkl")) for name in archive.namelist())
    except (OSError, zipfile.BadZipFile):
        return False

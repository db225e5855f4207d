"""Opening a bundle: everything is checked before it is used, and nothing in it is executed."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgekit import limits
from edgekit.bundle.check import check_graphs, contradictions
from edgekit.bundle.manifest import MANIFEST, Artifact, Manifest
from edgekit.bundle.mistaken import what_it_is
from edgekit.bundle.unpack import unpack
from edgekit.errors import EdgekitError
from edgekit.frames.arrays import read_arrays
from edgekit.frames.files import sha256
from edgekit.frames.outside import open_regular, read_bytes
from edgekit.frames.unfinished import remove_abandoned

ENGINES = "engines"
"""Where in a bundle's directory engines are built, which are the machine's and not the bundle's."""

SHIPPED = Path(__file__).parent / "shipped"
"""The bundles that come with edgekit, one folder each, which their name opens from anywhere."""

_AGAIN = "copy the bundle again if it was whole where it came from, else export it again"


@dataclass(frozen=True)
class Bundle:
    """A checked bundle. ``folder`` holds its files; ``source`` is the directory or .tar that the user named."""

    manifest: Manifest
    folder: Path
    source: Path

    def path(self, file: str) -> Path:
        """Where a file of the bundle lies. ValueError for a name that the manifest does not list."""
        if file not in self.manifest.files:
            raise ValueError(f"'{file}' is no file of the bundle {self.source}")
        return self.folder / file

    def read(self, file: str) -> bytes:
        """A file's content, with its SHA-256 checked again: the file may have changed since the bundle was opened.

        EdgekitError where it has changed.
        """
        path = self.path(file)
        try:
            content = read_bytes(path, what="the bundle's file", fix=_AGAIN)
        except FileNotFoundError:
            raise _missing(path) from None
        if hashlib.sha256(content).hexdigest() != self.manifest.files[file]:
            raise EdgekitError("the file has changed since the bundle was opened", where=str(path), fix=_AGAIN)
        return content

    def artifacts(self, lane: str | None = None, precision: str | None = None) -> list[Artifact]:
        """The artifacts of a lane and precision, in the manifest's order; None means any."""
        return [a for a in self.manifest.artifacts if lane in (None, a.lane) and precision in (None, a.precision)]

    def artifact(self, lane: str, precision: str) -> Artifact:
        """The one artifact of a lane and precision. EdgekitError, listing all artifacts, if the bundle lacks it."""
        found = self.artifacts(lane, precision)
        if not found:
            raise EdgekitError(
                f"the bundle has no {precision} artifact in the {lane} lane",
                where=str(self.source),
                fix=f"choose one of {self.listed()}, or export the bundle with that precision and target",
            )
        return found[0]

    def size(self) -> int:
        """Bytes of its files, without the manifest."""
        return sum((self.folder / name).stat().st_size for name in self.manifest.files)

    def strays(self) -> list[str]:
        """Files in its directory that do not belong to it: nothing reads or checks them.

        What `edgekit build` puts into ``engines`` is not among them.
        """
        known = {MANIFEST, *self.manifest.files}
        found = []
        for folder, folders, files in os.walk(self.folder):
            here = Path(folder).relative_to(self.folder)
            if here == Path():
                folders[:] = [name for name in folders if name != ENGINES]
            links = [name for name in folders if (Path(folder) / name).is_symlink()]
            found += [name for name in ((here / file).as_posix() for file in (*files, *links)) if name not in known]
        return sorted(found)

    def listed(self) -> str:
        """Its lanes and precisions in words, for an error message."""
        return ", ".join(dict.fromkeys(f"{a.lane}/{a.precision}" for a in self.manifest.artifacts))

    def golden_frames(self) -> dict[str, np.ndarray]:
        """The golden file's frames (n, H, W, C) by modality. EdgekitError as of ``golden``, or where one is missing."""
        sensors = self.manifest.preprocessing.sensors()
        arrays = self.golden([sensor.input for sensor in sensors])
        missing = [sensor.input for sensor in sensors if sensor.input not in arrays]
        if missing:
            path = str(self.path(self.manifest.golden.file))
            raise EdgekitError(
                f"the bundle is incomplete: its golden file has no '{missing[0]}'", where=path, fix=_AGAIN
            )
        return {sensor.task.name: arrays[sensor.input] for sensor in sensors}

    def golden(self, names: Sequence[str] | None = None) -> dict[str, np.ndarray]:
        """The golden file's arrays: per input name its frames, such as ``frames`` (n, H, W, 3) uint8, and per output
        name the fp32 answer.

        ``names``: only these. EdgekitError where the file is not what the manifest says.
        """
        path = self.path(self.manifest.golden.file)
        try:
            arrays = read_arrays(path, names, what="the golden file", fix=_AGAIN)
        except FileNotFoundError:
            raise _missing(path) from None
        self._check_golden(arrays, str(path))
        return arrays

    def _check_golden(self, arrays: dict[str, np.ndarray], where: str) -> None:
        golden, size = self.manifest.golden, self.manifest.preprocessing.size
        for sensor in self.manifest.preprocessing.sensors():
            frames, expected = arrays.get(sensor.input), (golden.count, *size, sensor.task.channels)
            if frames is not None and (frames.shape != expected or frames.dtype != sensor.dtype):
                raise EdgekitError(
                    f"the golden {sensor.input} are {frames.shape} {frames.dtype}, the manifest says {expected} "
                    f"{sensor.dtype}",
                    where=where,
                    fix=_AGAIN,
                )
            if frames is not None and frames.dtype.kind == "f" and not np.isfinite(frames).all():
                raise EdgekitError(f"the golden {sensor.input} are not finite", where=where, fix=_AGAIN)
        for name, array in arrays.items():
            if array.shape[:1] != (golden.count,) or array.dtype.kind not in "uif":
                raise EdgekitError(
                    f"the golden array '{name}' is {array.shape} {array.dtype}, not numbers of {golden.count} frames",
                    where=where,
                    fix=_AGAIN,
                )


def open_bundle(path: str | os.PathLike) -> Bundle:
    """Open a bundle's directory or .tar and check all of it: schema, completeness, SHA-256 of every file, its graphs.

    A name under which nothing lies here may be that of a bundle that comes with edgekit. EdgekitError with the reason
    where it is missing, truncated, tampered with, incomplete, or of a newer schema, and where a graph is another than
    the manifest says, or one that must not be loaded.
    """
    source = Path(path)
    if not source.exists():
        remove_abandoned(source.absolute().parent)  # a killed export may have moved it aside
    source = shipped_or_here(path)
    if problem := what_it_is(source):
        raise problem
    folder = source
    if source.is_file():
        folder = unpack(source)
    elif not source.is_dir():
        own = " or ".join(shipped_bundles())
        fix = f"give the directory or .tar that `edgekit export` made, or {own}, which comes with edgekit"
        raise EdgekitError("there is no bundle here", where=str(source), fix=fix)
    if os.fspath(path) in shipped_bundles() and not (folder / MANIFEST).is_file():
        what = f"the folder '{path}' is no bundle, and hides the one of that name that comes with edgekit"
        raise EdgekitError(what, where=str(source.absolute()), fix="rename it, or call edgekit in another folder")
    manifest = read_manifest(folder / MANIFEST)
    bundle = Bundle(manifest, folder, source)
    for name, digest in manifest.files.items():
        _check_file(folder / name, digest)
    check_graphs(manifest, bundle.read, str(folder))
    return bundle


def shipped_or_here(path: str | os.PathLike) -> Path:
    """The path; that of a bundle that comes with edgekit where it is its name, and nothing of that name lies here."""
    source = Path(path)
    return SHIPPED / source if os.fspath(path) in shipped_bundles() and not source.exists() else source


def shipped_bundles() -> list[str]:
    """The names of the bundles that come with edgekit."""
    return sorted(folder.name for folder in SHIPPED.iterdir())


def read_manifest(path: Path) -> Manifest:
    """A bundle's manifest. EdgekitError where the file is missing or damaged, or contradicts itself."""
    if not path.is_file():
        raise EdgekitError(
            f"this is not a bundle: it has no {MANIFEST}",
            where=str(path.parent),
            fix="give the directory or .tar that `edgekit export` made",
        )
    content = read_bytes(path, what="the manifest", most=limits.JSON_BYTES, fix=_AGAIN)
    manifest = Manifest.from_json(content, where=str(path))
    problem = next(contradictions(manifest), None)
    if problem:
        raise EdgekitError(problem, where=str(path), fix=_AGAIN)
    return manifest


def _check_file(path: Path, digest: str) -> None:
    try:
        open_regular(path, what="the bundle's file", fix=_AGAIN).close()  # neither endless nor larger than bundles are
        found = sha256(path)
    except FileNotFoundError:
        raise _missing(path) from None
    except OSError as error:
        raise EdgekitError(f"the file cannot be read: {error.strerror}", where=str(path), fix=_AGAIN) from error
    if found != digest:
        raise EdgekitError(
            f"the file is not the one that was exported: its SHA-256 is {found[:12]}…, "
            f"the manifest says {digest[:12]}…",
            where=str(path),
            fix=_AGAIN,
        )


def _missing(path: Path) -> EdgekitError:
    return EdgekitError("the bundle is incomplete: a file is missing", where=str(path), fix=_AGAIN)

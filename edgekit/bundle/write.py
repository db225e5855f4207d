"""Writing a bundle: a directory or one .tar, complete or not at all."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import os
import tarfile
from collections.abc import Mapping
from pathlib import Path

from edgekit import limits
from edgekit.bundle.check import check_graphs, contradictions
from edgekit.bundle.manifest import MANIFEST, Manifest
from edgekit.bundle.unpack import opened
from edgekit.errors import EdgekitError
from edgekit.frames.files import atomic_write
from edgekit.frames.unfinished import OLD, exchange, part_folder, remove_abandoned


def write_bundle(manifest: Manifest, files: Mapping[str, bytes], out: Path) -> Manifest:
    """Write ``files`` and the manifest, completed by their SHA-256, to ``out``; returns the completed manifest.

    ``out`` ending in ``.tar`` is one archive, else a directory. What was there before is replaced if it was a bundle. A
    kill at any moment leaves the old one or the new one, never half of one; where the system cannot exchange two names
    at once, there may be none until the next export, or whoever opens it, puts the old one back.
    EdgekitError where something else is in the way, the place cannot be written, or ``open_bundle`` would refuse it.
    """
    digests = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    manifest = dataclasses.replace(manifest, files=digests)
    if problem := next(contradictions(manifest), None):
        raise EdgekitError(f"the bundle would not open: {problem}", where=str(out), fix="export with other settings")
    check_graphs(manifest, files.__getitem__, str(out))
    everything = {MANIFEST: manifest.to_json().encode(), **files}
    try:
        if out.suffix == ".tar":
            _write_tar(everything, out)
        else:
            _write_folder(everything, out)
    except OSError as error:
        raise _refused(error, out) from error
    return manifest


def check_place(out: Path) -> None:
    """EdgekitError where a bundle must not or cannot be written. For use before hours of work.

    Something that is no bundle is there, or its folder takes no new file. What a killed export left is cleaned up.
    """
    remove_abandoned(out.absolute().parent)
    fix = "choose another place with --out, or remove it"
    try:
        if out.suffix == ".tar":
            if out.is_dir():
                raise EdgekitError("a folder is in the way of the bundle's archive", where=str(out), fix=fix)
            if out.exists() and not _is_manifest(_manifest_in(out)):
                raise EdgekitError("a file that is no bundle is in the way of the archive", where=str(out), fix=fix)
        elif out.exists() and not out.is_dir():
            raise EdgekitError("a file is in the way of the bundle's folder", where=str(out), fix=fix)
        elif out.is_dir() and any(out.iterdir()):
            about = out / MANIFEST
            if not about.is_file() or not _is_manifest(about.read_bytes()):
                raise EdgekitError("the folder holds something that is no bundle", where=str(out), fix=fix)
        parent = next(folder for folder in out.absolute().parents if folder.exists())
        with part_folder(parent):
            pass
    except OSError as error:
        raise _refused(error, out) from error


def _refused(error: OSError, out: Path) -> EdgekitError:
    return EdgekitError(
        f"the bundle cannot be written: {error.strerror}", where=str(out), fix="choose another place with --out"
    )


def _manifest_in(archive: Path) -> bytes:
    """An archive's manifest; empty where it has none, or is no archive."""
    try:
        with opened(archive) as tar:
            member = next((m for m in tar if m.isreg() and m.name.rpartition("/")[2] == MANIFEST), None)
            return tar.extractfile(member).read(limits.JSON_BYTES) if member else b""
    except (tarfile.TarError, EOFError, ValueError, EdgekitError):
        return b""


def _is_manifest(content: bytes) -> bool:
    """Whether this is a bundle's, of whatever schema: other programs too call a file of theirs manifest.json."""
    try:
        fields = json.loads(content)
    except (ValueError, RecursionError):
        return False
    return isinstance(fields, dict) and {"schema", "artifacts"} <= fields.keys()


def _write_folder(files: Mapping[str, bytes], out: Path) -> None:
    check_place(out)
    out.parent.mkdir(parents=True, exist_ok=True)
    with part_folder(out.parent) as scratch:
        fresh = scratch / "bundle"
        for name, content in files.items():
            path = fresh / name
            path.parent.mkdir(parents=True, exist_ok=True)
            with open(path, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            if name.endswith(".sh"):
                path.chmod(0o755)
        if not out.exists():
            os.rename(fresh, out)
        elif not exchange(fresh, out):
            _replace(out, fresh, scratch / OLD)


def _replace(out: Path, fresh: Path, aside: Path) -> None:
    """``fresh`` in the place of ``out``, by two renames; what was there goes to ``aside``, and back if need be."""
    aside.mkdir()
    os.rename(out, aside / out.name)
    try:
        os.rename(fresh, out)
    except BaseException:
        os.rename(aside / out.name, out)
        raise


def _write_tar(files: Mapping[str, bytes], out: Path) -> None:
    check_place(out)
    with atomic_write(out) as part, tarfile.open(part, "w", format=tarfile.USTAR_FORMAT) as tar:
        # Uncompressed: weights do not shrink, and a plain archive can be read in place. No names, no times: the same
        # bundle is the same bytes.
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            member.mode = 0o755 if name.endswith(".sh") else 0o644
            tar.addfile(member, io.BytesIO(content))

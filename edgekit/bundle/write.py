"""Packing a bundle: a directory or one .tar, whole or not there."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import os
import shutil
import tarfile
import tempfile
from collections.abc import Mapping
from pathlib import Path

from edgekit.bundle.manifest import MANIFEST, Manifest
from edgekit.errors import EdgekitError
from edgekit.frames.files import atomic_write


def write_bundle(manifest: Manifest, files: Mapping[str, bytes], out: Path) -> Manifest:
    """Write ``files`` and the manifest, completed by their SHA-256, to ``out``; returns the completed manifest.

    ``out`` ending in ``.tar`` is one archive, else a directory. What was there before is replaced if it was a bundle. A
    kill at any moment leaves the old one, the new one, or (a directory, between two renames) none; never half of one.
    EdgekitError where something else is in the way, or the place cannot be written.
    """
    digests = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    manifest = dataclasses.replace(manifest, files=digests)
    everything = {MANIFEST: manifest.to_json().encode(), **files}
    try:
        if out.suffix == ".tar":
            _write_tar(everything, out)
        else:
            _write_folder(everything, out)
    except OSError as error:
        raise EdgekitError(
            f"the bundle cannot be written: {error.strerror}", where=str(out), fix="choose another place with --out"
        ) from error
    return manifest


def check_place(out: Path) -> None:
    """EdgekitError where a bundle must not be written: something that is none is there. Asked before hours of work."""
    fix = "choose another place with --out, or remove it"
    if out.suffix == ".tar":
        if out.is_dir():
            raise EdgekitError("a folder is in the way of the bundle's archive", where=str(out), fix=fix)
    elif out.exists() and not out.is_dir():
        raise EdgekitError("a file is in the way of the bundle's folder", where=str(out), fix=fix)
    elif out.is_dir() and any(out.iterdir()) and not (out / MANIFEST).is_file():
        raise EdgekitError("the folder holds something that is no bundle", where=str(out), fix=fix)


def _write_folder(files: Mapping[str, bytes], out: Path) -> None:
    check_place(out)
    out.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=".part-", dir=out.parent))
    try:
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
        if out.exists():
            os.rename(out, scratch / "old")
        os.rename(fresh, out)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


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

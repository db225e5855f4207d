"""Unpacking a bundle's .tar into a cache folder that is named by the archive's hash."""

from __future__ import annotations

import os
import shutil
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from edgekit import limits
from edgekit.bundle.manifest import MANIFEST, Manifest
from edgekit.errors import EdgekitError
from edgekit.frames.files import cache_folder, make_cache, sha256
from edgekit.frames.outside import open_regular
from edgekit.frames.unfinished import part_folder, remove_abandoned

_BLOCK = 512  # of a tar
_MOST_EXTENDED, _MOST_IN_A_ROW = 8192, 4  # bytes of an extended header, and such headers before a member
_AGAIN = "copy the archive again if it was whole where it came from, else export the bundle again"


def unpack(archive: Path) -> Path:
    """The folder with an archive's files, unpacked unless it was before; the files' content is checked by the caller.

    Only regular files are taken, by names that stay inside; ``<folder>/manifest.json`` at the top is accepted as well.
    EdgekitError where the archive is no plain .tar, truncated, or holds anything else.
    """
    open_regular(archive, what="the archive", most=limits.ARCHIVE_BYTES, fix=_AGAIN).close()
    folder = cache_folder() / "bundles" / sha256(archive)[:32]
    if folder.is_dir() and _is_whole(folder, archive):
        return folder
    make_cache(folder.parent)
    remove_abandoned(folder.parent)
    try:
        with part_folder(folder.parent) as scratch:
            part = scratch / folder.name
            _extract(archive, part)
            # Deleted elsewhere: a kill during the deletion would leave half of it in the place of a whole one.
            with suppress(OSError):  # missing, or in use by another process
                os.rename(folder, scratch / "before")
            try:
                os.rename(part, folder)
            except OSError:
                if not folder.is_dir():  # else another process has just unpacked it
                    raise
    except (tarfile.TarError, EOFError, ValueError, OverflowError) as error:
        raise EdgekitError(
            f"the bundle's archive is no .tar, or truncated: {error}", where=str(archive), fix=_AGAIN
        ) from error
    except OSError as error:
        raise EdgekitError(
            f"the bundle cannot be unpacked: {error.strerror or error}",
            where=f"{archive} → {folder.parent}",
            fix="make room or set EDGEKIT_CACHE to another folder; or unpack it yourself and give the folder",
        ) from error
    return folder


@contextmanager
def opened(archive: Path) -> Iterator[tarfile.TarFile]:
    """An archive whose headers were looked at before tarfile reads them. Errors of ``open_regular`` and tarfile;
    EdgekitError for headers that no bundle's archive has."""
    with open_regular(archive, what="the archive", most=limits.ARCHIVE_BYTES, fix=_AGAIN) as file:
        _check_headers(file, archive)
        file.seek(0)
        with tarfile.open(fileobj=file, mode="r:") as tar:
            yield tar


def _check_headers(file: BinaryIO, archive: Path) -> None:
    """EdgekitError for a header that takes tarfile long, much memory or a recursion to read, or that hides others."""
    count = row = 0
    while len(block := file.read(_BLOCK)) == _BLOCK and block.strip(b"\0"):
        name, kind = block[:100].rstrip(b"\0").decode(errors="replace"), block[156:157]
        size = int(block[124:136].strip(b"\0 ") or b"0", 8)  # ValueError: another base, for more than 8 GiB
        extended = kind in b"xgXLK"
        count, row = count + 1, row + 1 if extended else 0
        if size < 0 or row > _MOST_IN_A_ROW or count > 4 * limits.ARCHIVE_MEMBERS:
            raise _refused(archive, name, "is more than a bundle's archive holds")
        if extended and size > _MOST_EXTENDED:
            raise _refused(archive, name, f"has an extended header of {size:,} bytes")
        content = file.read(size) if extended else b""
        if kind == b"S" or b" size=" in content or b" GNU.sparse" in content:  # read at another length than it has
            raise _refused(archive, name, "is no regular file")
        file.seek(-len(content) + -(-size // _BLOCK) * _BLOCK, os.SEEK_CUR)


def _is_whole(folder: Path, archive: Path) -> bool:
    """Whether files unpacked earlier still equal those in the archive."""
    try:
        with opened(archive) as tar:
            return all(
                (folder / name).read_bytes() == tar.extractfile(member).read()
                for name, member in _members(tar, archive).items()
            )
    except (OSError, tarfile.TarError, EdgekitError, ValueError):
        return False


def _extract(archive: Path, folder: Path) -> None:
    with opened(archive) as tar:
        for name, member in _members(tar, archive).items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            with tar.extractfile(member) as source, open(path, "xb") as file:
                shutil.copyfileobj(source, file, 1 << 20)
            if path.stat().st_size != member.size:
                raise EOFError(f"'{name}' ends early")


def _members(tar: tarfile.TarFile, archive: Path) -> dict[str, tarfile.TarInfo]:
    """Name inside the bundle → member, for the manifest and the files it lists; any other member is refused."""
    members = _without_top(_regular(tar, archive))
    about = members.get(MANIFEST)
    if about is None or about.size > limits.JSON_BYTES:
        raise EdgekitError(f"the archive is no bundle: it has no {MANIFEST}", where=str(archive), fix=_AGAIN)
    manifest = Manifest.from_json(tar.extractfile(about).read(), where=f"{archive}: {MANIFEST}")
    for name, member in members.items():
        if name != MANIFEST and name not in manifest.files:
            raise _refused(archive, member.name, "is not listed in the manifest")
    return members


def _regular(tar: tarfile.TarFile, archive: Path) -> dict[str, tarfile.TarInfo]:
    """Name → member, all of them regular files with names inside the bundle."""
    found: dict[str, tarfile.TarInfo] = {}
    room, end = limits.ARCHIVE_BYTES, archive.stat().st_size
    for member in tar:
        name = member.name.removeprefix("./").rstrip("/")
        if member.isdir() and (name in ("", ".") or _stays_inside(name)):
            continue
        if not member.isreg() or member.issparse():
            raise _refused(archive, member.name, "is no regular file")
        if not _stays_inside(name):
            raise _refused(archive, member.name, "would be written outside the bundle")
        if name in found:
            raise _refused(archive, member.name, "is there twice")
        if member.offset_data + member.size > end:  # a plain archive holds no more than itself
            what = f"the bundle's archive is truncated: it ends inside '{name}'"
            raise EdgekitError(what, where=str(archive), fix=_AGAIN)
        room -= member.size
        if room < 0 or len(found) >= limits.ARCHIVE_MEMBERS:
            raise _refused(archive, member.name, "is more than a bundle's archive holds")
        found[name] = member
    return found


def _stays_inside(name: str) -> bool:
    parts = name.split("/")
    return not name.startswith("/") and "\\" not in name and "\0" not in name and not {"", ".", ".."} & set(parts)


def _without_top(members: dict[str, tarfile.TarInfo]) -> dict[str, tarfile.TarInfo]:
    """Names relative to the folder that holds the manifest: `tar cf b.tar bundle` is a bundle too."""
    tops = {name.partition("/")[0] for name in members}
    if MANIFEST not in members and len(tops) == 1 and f"{(top := tops.pop())}/{MANIFEST}" in members:
        return {name.removeprefix(f"{top}/"): member for name, member in members.items()}
    return members


def _refused(archive: Path, member: str, why: str) -> EdgekitError:
    return EdgekitError(
        f"the bundle's archive is refused: its member {member[:100]!r} {why}",
        where=str(archive),
        fix="do not use this archive; get the bundle from where it was exported",
    )

"""Any source's frames in the layout of Dronescapes: ``<out>/<set>/<task>/<frame>.npz``, whole files or none."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

from edgekit.data.check import BadFile
from edgekit.data.dronescapes.config import DronescapesConfig
from edgekit.data.dronescapes.description import NAME, Description, read_description
from edgekit.data.dronescapes.files import write_array
from edgekit.data.dronescapes.listing import SIDE_FILE, SUFFIX
from edgekit.data.folders import scene_of
from edgekit.data.frameset import FrameSet
from edgekit.data.source import FrameInfo
from edgekit.errors import EdgekitError, WriteError
from edgekit.frames.files import is_whole_zip
from edgekit.frames.locks import LOCK, locked
from edgekit.frames.names import component
from edgekit.tasks import kind_of

_SETS = {"train": "train_set", "val": "validation_set", "test": "test_set"}
_UNLABELLED = "semisupervised_set"
_SCENE_REGEX = DronescapesConfig.model_fields["scene_regex"].default
_WORKERS = 4


@dataclass
class Conversion:
    """What was done: frames per set, files written and files that were there, their bytes, and frames left out."""

    frames: dict[str, int] = field(default_factory=dict)
    written: int = 0
    kept: int = 0
    bytes: int = 0
    bad: list[BadFile] = field(default_factory=list)


def write_dronescapes(
    frames: FrameSet,
    names: Sequence[str],
    out: Path,
    *,
    labels: Sequence[str] = (),
    rename: Mapping[str, str] | None = None,
    compress: bool = True,
    on_bad_file: str = "error",
    progress: Callable[[int, int], None] | None = None,
) -> Conversion:
    """Write the named tasks (stored or computed) of every frame; the tasks a frame lacks stay absent.

    Train frames without labels go to ``semisupervised_set``. ``labels``: which of the names are labels. ``rename``:
    task -> folder, where they differ. A call that was interrupted continues where it stopped when it is repeated.

    EdgekitError where ``out`` holds something else, two frames or tasks would share a file, a frame cannot be read
    (``on_bad_file: skip`` lists it instead), or the disk is full.
    """
    folders = _folders(frames, names, rename or {})
    placed = _placed(frames)
    description = Description(
        tasks={folder: replace(frames.tasks[name], name=folder) for name, folder in folders.items()},
        labels=[folders[name] for name in labels if name in folders],
        scenes={stem: f.scene for f, _, stem in placed if scene_of(_SCENE_REGEX, stem) != f.scene},
        film=frames.sequential,
        made_from=_hash(frames, folders, placed),
    )
    done = Conversion(frames=dict(Counter(folder for _, folder, _ in placed)))
    _check_empty_or_ours(out, description)
    with locked(out, "another conversion is writing here"):
        _check_empty_or_ours(out, description)  # another conversion may have come first
        description.write(out)

        def one(at: tuple[FrameInfo, str, str]) -> tuple[int, int, int] | BadFile:
            frame, folder, stem = at
            try:
                return _write_frame(frames, frame, out / folder, stem, folders, compress)
            except WriteError:
                raise
            except EdgekitError as error:
                return BadFile(frame.split, frame.name, error.where or frame.name, error.what)

        with ThreadPoolExecutor(min(_WORKERS, os.cpu_count() or 1)) as pool:
            for count, result in enumerate(pool.map(one, placed), 1):
                if isinstance(result, BadFile):
                    if on_bad_file == "error":
                        fix = "repair it, or leave it out: data.on_bad_file: skip"
                        raise EdgekitError(result.reason, where=result.where, fix=fix)
                    done.bad.append(result)
                else:
                    written, kept, size = result
                    done.written += written
                    done.kept += kept
                    done.bytes += size
                if progress:
                    progress(count, len(placed))
    return done


def _write_frame(
    frames: FrameSet, frame: FrameInfo, folder: Path, stem: str, folders: Mapping[str, str], compress: bool
) -> tuple[int, int, int]:
    """(files written, files kept, bytes of all of them)."""
    paths = {name: folder / folders[name] / f"{stem}{SUFFIX}" for name in folders}
    kept = [name for name, path in paths.items() if is_whole_zip(path)]
    size = sum(paths[name].stat().st_size for name in kept)
    maps = frames.read(frame, [name for name in folders if name not in kept])
    for name, native in maps.items():
        where = f"{frame.split}/{frame.name}"
        kind_of(frames.tasks[name]).validate(frames.tasks[name], native, where)
        stored = kind_of(frames.tasks[name]).to_disk(frames.tasks[name], native, where)
        size += write_array(paths[name], stored, compress=compress)
    return len(maps), len(kept), size


def _placed(frames: FrameSet) -> list[tuple[FrameInfo, str, str]]:
    """Every frame with its set and the name of its files."""
    placed, owners = [], {}
    for split in frames.source.splits():
        for frame in frames.source.frames(split):
            unlabelled = split == "train" and not frame.labelled
            folder = _UNLABELLED if unlabelled else _SETS.get(split, f"{split}_set")
            stem = frame.name.replace("/", "_").replace("\\", "_")
            owner = owners.setdefault((folder, stem), frame.name)
            if owner != frame.name:
                raise EdgekitError(
                    f"the frames '{owner}' and '{frame.name}' would be written to the same file {stem}{SUFFIX}",
                    where=frame.split,
                    fix="rename one of the two",
                )
            if stem.startswith(".") or f"{stem}{SUFFIX}".endswith(SIDE_FILE):
                raise EdgekitError(
                    f"readers of the layout ignore the file {stem}{SUFFIX}",
                    where=f"{split}/{frame.name}",
                    fix="rename the frame: no dot in front, no _extra at the end",
                )
            placed.append((frame, folder, stem))
    return placed


def _folders(frames: FrameSet, names: Sequence[str], rename: Mapping[str, str]) -> dict[str, str]:
    """Task -> folder."""
    for name in [*names, *rename]:
        if name not in frames.tasks:
            raise EdgekitError(f"the data has no '{name}'", where="--task", fix=f"use one of {', '.join(frames.tasks)}")
    folders = {name: rename.get(name, name) for name in dict.fromkeys(names)}
    for name, folder in folders.items():
        component(folder, what="the folder", where="--rename")
        if list(folders.values()).count(folder) > 1:
            what = f"two tasks would share the folder '{folder}', one is '{name}'"
            raise EdgekitError(what, where="--rename", fix="give each a folder of its own")
    return folders


def _hash(frames: FrameSet, folders: Mapping[str, str], placed: Sequence) -> str:
    digest = hashlib.sha256(repr((frames.source.fingerprint(), sorted(folders.items()))).encode())
    for frame, folder, stem in placed:
        digest.update(f"{frame.name}\0{folder}\0{stem}\n".encode())
    return digest.hexdigest()


def _check_empty_or_ours(out: Path, description: Description) -> None:
    if not out.is_dir():
        return
    before = read_description(out)
    others = sorted(path.name for path in out.iterdir() if path.name not in (NAME, LOCK))
    if before is None and others:
        raise EdgekitError(
            f"the folder is not empty: {', '.join(others[:5])}", where=str(out), fix="choose an empty folder with --out"
        )
    if before is not None and before.made_from != description.made_from:
        raise EdgekitError(
            "the folder holds another conversion, or its data has changed since",
            where=str(out),
            fix="choose another folder with --out, or remove this one",
        )

"""`edgekit data extract`: every map of every frame that is not there yet."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from edgekit.data.derived.votes import Disagreement
from edgekit.data.dronescapes.description import NAME, Description
from edgekit.errors import EdgekitError, WriteError, first_line
from edgekit.extract.config import ExtractConfig
from edgekit.extract.files import HIDDEN, LAYOUTS, Failure, Tree, read_failures, write_map
from edgekit.extract.films import Film, find_films
from edgekit.extract.frame import Frame, Missing
from edgekit.extract.plan import Step, open_plan
from edgekit.extract.record import PLAN, FilmRecord, PlanRecord, read_plan, read_record, write_if_new, write_rates
from edgekit.frames.unfinished import remove_abandoned

_WRITERS = 4
_MOST_UNWRITTEN = 32  # maps that wait for them
_NO_MEMORY = ("out of memory", "allocate memory", "failed to allocate", "bad_alloc", "bad allocation")
_BLOCK = 32
"""So many frames in a row belong to one shard."""


@dataclass
class Extraction:
    """What was done: maps written and maps that were there, by task; what failed; seconds of computing by task."""

    frames: int = 0
    written: Counter[str] = field(default_factory=Counter)
    kept: Counter[str] = field(default_factory=Counter)
    failed: list[Failure] = field(default_factory=list)
    seconds: Counter[str] = field(default_factory=Counter)

    def write_rates(self, out: Path, shard: int) -> None:
        if self.written:
            write_rates(out, shard, {name: (n, round(self.seconds[name], 3)) for name, n in self.written.items()})


def extract(
    config: ExtractConfig,
    base: Path,
    out: Path,
    *,
    layout: str = LAYOUTS[0],
    shard: tuple[int, int] = (0, 1),
    retry_failed: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Extraction:
    """Make the maps of the pipeline ``config``, whose paths are relative to ``base``, in a ``layout`` of ``Tree``.

    A map whose file is whole and was made under the key that it has today is kept; every other is made, and what is
    derived from it. A frame that fails is noted and the others go on; it is not tried again before its key changes, or
    with ``retry_failed``. ``shard`` (index, count): this one's share of the frames; shards may run at once.

    EdgekitError for a pipeline that does not fit, an ``out`` that holds something else, and a full disk.
    """
    opened = Opened(config, base, Tree(out, layout), retry_failed)
    opened.prepare()
    expected = opened.expected() // shard[1] if progress else 0
    done = opened.part(range(len(opened.films)), shard, progress and (lambda n: progress(n, max(expected, n))))
    done.write_rates(out, shard[0])
    return done


class Opened:
    """A pipeline with its experts in memory, of which parts can be made. EdgekitError for one that does not fit."""

    def __init__(self, config: ExtractConfig, base: Path, tree: Tree, retry_failed: bool):
        self.config, self.tree, self.retry = config, tree, retry_failed
        self.steps = open_plan(config, base)
        self.films = find_films(config, base, numbered=tree.layout == "vre")

    def prepare(self) -> None:
        """Say in the folder what lies there, and remove what killed runs left half-written; before parts are made.

        EdgekitError where it holds something else.
        """
        tree, steps, out = self.tree, self.steps, self.tree.out
        if out.is_dir() and not (out / HIDDEN).is_dir() and (others := sorted(p.name for p in out.iterdir())):
            what = f"the folder holds something else: {', '.join(others[:5])}"
            raise EdgekitError(what, where=str(out), fix="choose an empty folder with --out")
        if (out / HIDDEN / PLAN).exists() and (before := read_plan(out).layout) != tree.layout:
            what = f"the folder's layout is {before}, and not {tree.layout}"
            raise EdgekitError(what, where=str(out), fix=f"give --layout {before}, or another folder with --out")
        remove_unfinished(tree)
        PlanRecord(
            keys={name: step.key for name, step in steps.items()},
            needs={name: list(step.needs) for name, step in steps.items()},
            ahead=[name for name, step in steps.items() if step.ahead],
            disagreements=[name for name, step in steps.items() if isinstance(step.derivation, Disagreement)],
            films=[(film.folder, film.name) for film in self.films],
            layout=tree.layout,
            of_films={
                name: {film.name: step.key_of_film(film.name) for film in self.films}
                for name, step in steps.items()
                if step.on_disk
            },
        ).write(out)
        tasks = {name: step.task for name, step in steps.items()}
        film = all(f.is_sequence(self.config) for f in self.films)
        write_if_new(out / NAME, Description(tasks, labels=[], film=film, made_from="extract").document())

    def expected(self) -> int:
        """How many frames there will be, as far as the films tell."""
        return sum(film.expected(self.config) or 0 for film in self.films)

    def part(
        self, films: Sequence[int], shard: tuple[int, int], progress: Callable[[int], None] | None = None
    ) -> Extraction:
        """Make the maps of a shard of some films, by their places. EdgekitError for a full disk."""
        with ThreadPoolExecutor(_WRITERS) as writers:
            work = _Work(self, shard, writers)
            for place in films:
                for _ in work.film(self.films[place]):
                    if progress:
                        progress(work.done.frames)
        return work.done


def remove_unfinished(tree: Tree) -> None:
    """Remove what killed processes left half-written; what others work at stays."""
    for folder in tree.unfinished():
        remove_abandoned(folder)


def _lacks_memory(error: BaseException | None) -> bool:
    """Whether memory was lacking, of the machine or of a GPU: torch and onnxruntime say so in words of their own."""
    while error is not None:
        said = str(error).lower()
        if isinstance(error, MemoryError | torch.OutOfMemoryError) or any(word in said for word in _NO_MEMORY):
            return True
        error = error.__cause__
    return False


def _has_none(step: Step, frame: Frame) -> bool:
    """Whether it is known, before its film is decoded, that the map does not exist, and that is no fault."""
    expert = step.expert
    return expert is not None and getattr(expert.config, "missing", "") == "skip" and expert.model.lacks(frame.info)


class _Work:
    """``writers`` compress and write files while the next frames are worked on."""

    def __init__(self, opened: Opened, shard: tuple[int, int], writers: ThreadPoolExecutor):
        self.config, self.tree, self.steps, self.retry = opened.config, opened.tree, opened.steps, opened.retry
        self.shard, self.out = shard, opened.tree.out
        self.done = Extraction()
        self._writers = writers
        self._unwritten: deque[tuple[tuple[str, str, str, str], Future]] = deque()
        self._chunk_size = max(step.batch for step in self.steps.values())
        self._noted = {(f.folder, f.film, f.frame, f.task): f for f in read_failures(self.out)}

    def film(self, film: Film) -> Iterator[None]:
        """Work through one film, a chunk of frames at a time."""
        noted = self._noted.get((film.folder, film.name, "", "rgb"))
        known = read_record(self.out, film.folder, film.name)
        if known and known.is_of(film, self.config) and not (noted and self.retry):
            frames = [Frame(self.tree, film, s, self.steps) for s in known.shots() if self._is_mine(s.place)]
            if not any(self._todo(frame, Extraction()) for frame in frames):  # and the film need not be decoded
                for frame in frames:
                    self._todo(frame, self.done)
                self.done.failed += [noted] if noted else []
                yield
                return
        record, chunk = FilmRecord.new(film, self.config), []
        try:
            for shot in film.shots(self.config):
                record.add(shot)
                if self._is_mine(shot.place):
                    chunk.append(Frame(self.tree, film, shot, self.steps))
                if len(chunk) == self._chunk_size:
                    self._chunk(chunk)
                    chunk = []
                    yield
            if noted:
                noted.path(self.out).unlink(missing_ok=True)
        except WriteError:
            raise
        except EdgekitError as error:  # of the film itself: those of frames are noted as theirs
            self._note(Failure(film.folder, film.name, "", "rgb", self.steps["rgb"].key, error.what))
        if chunk:
            self._chunk(chunk)
            yield
        self._wait(0)
        if record.names:
            record.write(self.out)

    def _is_mine(self, place: int) -> bool:
        index, count = self.shard
        return place // _BLOCK % count == index

    def _todo(self, frame: Frame, done: Extraction) -> list[str]:
        """The maps of a frame to be made; what is there, or failed before, is added to ``done``."""
        todo, blocked = [], set()
        done.frames += 1
        for name, step in self.steps.items():
            if step.ahead and frame.shot.next is None:
                continue
            if frame.is_done(name):
                done.kept[name] += 1
                continue
            noted = self._noted.get((frame.film.folder, frame.film.name, frame.shot.name, name))
            if noted and noted.key == frame.key(name) and not self.retry:
                done.failed.append(noted)
                blocked.add(name)
            elif blocked.intersection(step.needs) or _has_none(step, frame):
                blocked.add(name)
            else:
                todo.append(name)
        return todo

    def _chunk(self, frames: Sequence[Frame]) -> None:
        todo = {id(frame): self._todo(frame, self.done) for frame in frames}
        for step in self.steps.values():
            wanted = [frame for frame in frames if step.name in todo[id(frame)] and not frame.lost]
            before = time.perf_counter()
            if step.expert is None:
                for frame in wanted:
                    self._attempt(frame, step, lambda frame=frame, step=step: frame.keep(step.name, frame.made(step)))
            else:
                while wanted:
                    count = step.batch  # a lack of memory lowers it
                    self._ask(step, wanted[:count])
                    wanted = wanted[count:]
            self.done.seconds[step.name] += time.perf_counter() - before
        for frame in frames:
            # not noted: there is nothing that would keep the next run from making them
            self.done.failed += [self._failure(frame, name, what) for name, what in frame.damaged.items()]
            for name, stored in frame.new.items():
                place = (frame.film.folder, frame.film.name, frame.shot.name, name)
                writing = self._writers.submit(write_map, frame.path(name), stored, frame.key(name))
                self._unwritten.append((place, writing))
        self._wait(_MOST_UNWRITTEN)

    def _wait(self, most: int) -> None:
        """Until no more than ``most`` maps are still to be written. WriteError where one could not be."""
        while len(self._unwritten) > most:
            place, writing = self._unwritten.popleft()
            writing.result()
            self.done.written[place[-1]] += 1
            if noted := self._noted.pop(place, None):
                noted.path(self.out).unlink(missing_ok=True)

    def _ask(self, step: Step, frames: Sequence[Frame]) -> None:
        """Let an expert answer for some frames."""
        ready: list[tuple[Frame, dict[str, np.ndarray]]] = []
        for frame in frames:
            self._attempt(frame, step, lambda f=frame: ready.append((f, {name: f.native(name) for name in step.needs})))
        if ready:
            self._answer(step, ready)

    def _answer(self, step: Step, ready: Sequence[tuple[Frame, dict[str, np.ndarray]]]) -> None:
        """All at once; if that fails, each half by itself, to use less memory and to isolate a bad frame."""
        try:
            soft = step.expert.answers([frame.info for frame, _ in ready], [maps for _, maps in ready], None)
        except WriteError:
            raise
        except Exception as error:  # experts may run third-party code
            if len(ready) == 1:
                self._fail(ready[0][0], step, error)
                return
            if _lacks_memory(error):
                step.batch = min(step.batch, len(ready) // 2)  # of the batches to come too
            soft = None
        if soft is None:  # outside of `except`: the error would keep alive all that the failed attempt held
            self._answer(step, ready[: len(ready) // 2])
            self._answer(step, ready[len(ready) // 2 :])
            return
        for (frame, _), answer in zip(ready, soft, strict=True):
            if step.name in answer:
                self._attempt(
                    frame,
                    step,
                    lambda f=frame, a=answer: f.keep(step.name, step.expert.native(step.name, a[step.name])),
                )
            elif getattr(step.expert.config, "missing", "error") == "error":
                self._fail(
                    frame,
                    step,
                    EdgekitError(
                        "the expert has no answer for this frame",
                        where=step.name,
                        fix="give the prediction, or write missing: skip",
                    ),
                )

    def _attempt(self, frame: Frame, step: Step, action: Callable[[], None]) -> None:
        try:
            action()
        except Missing:  # what it needs failed, and is noted
            return
        except WriteError:
            raise
        except Exception as error:
            self._fail(frame, step, error)

    def _fail(self, frame: Frame, step: Step, error: Exception) -> None:
        what = error.what if isinstance(error, EdgekitError) else f"{type(error).__name__}: {first_line(error)}"
        frame.lost |= step.name == "rgb"
        self._note(self._failure(frame, step.name, what))

    def _failure(self, frame: Frame, task: str, what: str) -> Failure:
        return Failure(frame.film.folder, frame.film.name, frame.shot.name, task, frame.key(task), what)

    def _note(self, failure: Failure) -> None:
        failure.write(self.out)
        self.done.failed.append(failure)

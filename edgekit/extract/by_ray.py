"""`edgekit data extract --engine ray`: parts of the films, given to actors on a Ray cluster that hold the experts."""

from __future__ import annotations

import contextlib
import os
import socket
import sys
from collections import Counter, deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

from edgekit.errors import EdgekitError, first_line
from edgekit.extract.config import ExtractConfig
from edgekit.extract.files import LAYOUTS, Tree
from edgekit.extract.run import Extraction, Opened, remove_unfinished

_MOST_DEATHS = 3  # of actors at one part
_PATIENCE = 10.0  # seconds
_ENGINE = "--engine ray"


class _Worker:
    """What an actor is. Opened by a call of its own, so that what is wrong comes back as it was raised."""

    def open(self, *pipeline: Any) -> None:
        self._opened = Opened(*pipeline)

    def part(self, films: list[int], shard: tuple[int, int]) -> Extraction:
        return self._opened.part(films, shard)


def extract_by_ray(
    config: ExtractConfig,
    base: Path,
    out: Path,
    *,
    address: str | None = None,
    layout: str = LAYOUTS[0],
    retry_failed: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Extraction:
    """`extract` on all machines of the cluster at ``address`` (default: the one that is there, else this machine).

    An actor for each GPU of the cluster, or for each CPU if it has no GPU. All machines see ``base`` and
    ``out`` under the same paths. A part whose actor dies is given to another one. EdgekitError as of ``extract``, where
    Ray is not installed or not to be reached, and where actors die at the same part again and again.
    """
    ray = _import_ray()
    tree = Tree(out.absolute(), layout)
    pipeline = (config, base.absolute(), tree, retry_failed)
    opened = Opened(*pipeline)
    opened.prepare()
    expected, films = opened.expected() if progress else 0, len(opened.films)
    del opened  # and its experts
    with contextlib.redirect_stdout(sys.stderr):  # where Ray prints that workers died
        _connect(ray, address)
        try:
            there = ray.cluster_resources()
            kind, count = ("num_gpus", there["GPU"]) if there.get("GPU", 0) >= 1 else ("num_cpus", there.get("CPU", 1))
            actor = ray.remote(**{kind: 1})(_Worker)
            count = max(1, int(count))
            pieces = -(-count // films)  # of a film, each of which decodes it
            parts = deque(([film], (i, pieces)) for film in range(films) for i in range(pieces))
            return _shared_out(ray, lambda: actor.remote(), pipeline, count, parts, expected, progress)
        finally:
            ray.shutdown()


def _connect(ray: Any, address: str | None) -> None:
    passed_on = {n: v for n, v in os.environ.items() if n.startswith("EDGEKIT_") or n == "PYTHONPATH"}
    host, _, port = (address or "").rpartition(":")
    try:
        if host and port.isdecimal() and "/" not in host:  # Ray itself would try for minutes
            socket.create_connection((host, int(port)), _PATIENCE).close()
        ray.init(address=address, runtime_env={"env_vars": passed_on}, log_to_driver=False, logging_level="ERROR")
    except Exception as error:  # of many types: nobody listens, another version of Ray or Python
        what = f"the Ray cluster cannot be reached: {first_line(error)}"
        fix = "`ray status` says what is there; --engine ray:HOST:PORT"
        raise EdgekitError(what, where=_ENGINE, fix=fix) from error


def _shared_out(
    ray: Any,
    new: Callable[[], Any],
    pipeline: tuple,
    count: int,
    parts: deque,
    expected: int,
    progress: Callable[[int, int], None] | None,
) -> Extraction:
    """Give parts to actors as they become free."""
    done, deaths, failed, died = Extraction(), Counter(), {}, False
    running: dict[Any, tuple[Any, tuple | None]] = {}  # what an actor will answer -> the actor, and its part

    def begin() -> None:
        actor = new()  # may wait indefinitely for free resources; the others go on
        running[actor.open.remote(*pipeline)] = (actor, None)

    for _ in range(min(count, len(parts))):
        begin()
    left = len(parts)
    while left:
        (answer,), _ = ray.wait(list(running))
        actor, part = running.pop(answer)
        try:
            made = ray.get(answer)
        except ray.exceptions.RayTaskError as error:
            raise error.cause if isinstance(error.cause, EdgekitError) else error from None
        except ray.exceptions.RayError as error:
            deaths[str(part)] += 1
            died = True
            if deaths[str(part)] >= _MOST_DEATHS:
                what = f"{_MOST_DEATHS} workers died one after the other: {first_line(error)}"
                raise EdgekitError(
                    what, where=_ENGINE, fix="`ray logs` shows what they printed; are they out of memory?"
                ) from error
            if part:
                parts.appendleft(part)
            begin()
            continue
        if made is None:
            deaths.pop(str(None), None)  # a worker started, so reset the count of failed starts
        else:
            left -= 1
            for name in ("written", "kept", "seconds"):
                getattr(done, name).update(getattr(made, name))
            done.frames += made.frames
            failed |= {(f.folder, f.film, f.frame, f.task): f for f in made.failed}
            if progress:
                progress(done.frames, max(expected, done.frames))
        if parts:
            part = parts.popleft()
            running[actor.part.remote(*part)] = (actor, part)
    if died:
        remove_unfinished(pipeline[2])
    done.failed = list(failed.values())
    done.write_rates(pipeline[2].out, 0)
    return done


def _import_ray() -> Any:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # disable Ray's usage reporting
    try:
        import ray
    except ImportError as error:
        raise EdgekitError(
            f"Ray cannot be imported: {error}",
            where=f"this Python: {sys.executable}",
            fix="pip install 'edgekit[ray]', on every machine of the cluster; --shard needs nothing",
        ) from error
    return ray

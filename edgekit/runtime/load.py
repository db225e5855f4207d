"""From a bundle on disk to a Predictor."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from edgekit.bundle.bundle import Bundle, open_bundle
from edgekit.errors import EdgekitError
from edgekit.runtime.backend import BACKENDS, Backend, Options
from edgekit.runtime.predictor import Predictor

DEFAULT = "onnxruntime"


def load(
    bundle: str | os.PathLike | Bundle,
    backend: str | None = None,
    precision: str | None = None,
    threads: int | None = None,
    outputs: Sequence[str] | None = None,
    *,
    lane: str | None = None,
    engine: str | os.PathLike | None = None,
) -> Predictor:
    """A Predictor for a bundle (its directory, its .tar, or one that is open).

    backend    ``onnxruntime``, the default, or another of ``edgekit.runtime.backend.BACKENDS``
    precision  default: int8 where the bundle has it, else fp32; ``describe()`` says which it became
    threads    CPU threads of one inference; default: every core the process may use
    outputs    names of results, default all
    lane       default: the backend's own
    engine     the engine's file, for a backend that runs a built one

    EdgekitError where the bundle is damaged, or lacks what is asked for.

    >>> import edgekit
    >>> predictor = edgekit.load("bundles/uav.tar")  # doctest: +SKIP
    >>> classes = predictor.infer(frame)["semantic"]  # doctest: +SKIP
    """
    opened = bundle if isinstance(bundle, Bundle) else open_bundle(bundle)
    runner = open_backend(
        opened,
        backend or DEFAULT,
        lane=lane,
        precision=precision,
        options=Options(threads=threads, engine=Path(engine) if engine else None),
    )
    try:
        return Predictor(opened.manifest, runner, outputs)
    except BaseException:
        runner.close()
        raise


def runnable_precisions(bundle: Bundle, backend: str | None = None, lane: str | None = None) -> list[str]:
    """The precisions of a lane that a backend runs, in the manifest's order. EdgekitError if it runs none."""
    kind = BACKENDS[backend or DEFAULT]
    # A bundle for one TensorRT may lack the lane that comes first.
    held = next((name for name in kind.lanes if bundle.artifacts(name)), kind.lanes[0])
    found, refusals = [], []
    for precision in dict.fromkeys(a.precision for a in bundle.artifacts(lane or held)):
        try:
            kind.choose(bundle, lane, precision, Options())
            found.append(precision)
        except EdgekitError as error:
            refusals.append(error)
    if refusals and not found:
        raise refusals[0]
    if not found:
        what = f"the bundle has nothing in the lane '{lane or held}'"
        raise EdgekitError(what, where=str(bundle.source), fix=f"choose one of {bundle.listed()} with --lane")
    return found


def open_backend(
    bundle: Bundle, name: str, *, lane: str | None = None, precision: str | None = None, options: Options | None = None
) -> Backend:
    """The backend of a name with the artifact it chooses. EdgekitError as ``load`` raises it."""
    options = options or Options()
    kind = BACKENDS[name]
    return kind(bundle, kind.choose(bundle, lane, precision, options), options)

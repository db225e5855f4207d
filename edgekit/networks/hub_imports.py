"""Importing timm and transformers, which are extras, also where torchvision's compiled half does not fit this torch."""

from __future__ import annotations

import re
import sys
from types import ModuleType

import torch

from edgekit.errors import EdgekitError

_LIBRARIES: list[torch.library.Library] = []  # a declaration lives as long as its library
_MOST = 16  # declarations that are tried


def import_timm() -> ModuleType:
    """The timm package. EdgekitError where it is not installed or cannot be imported."""
    _prepare_torchvision()
    try:
        import timm
    except ImportError as error:
        raise EdgekitError(
            f"timm cannot be imported: {error}",
            where="teacher.members",
            fix="pip install 'edgekit[timm]'",
        ) from error
    return timm


def import_transformers(where: str) -> ModuleType:
    """The transformers package; ``where`` asks for it. EdgekitError where it is not installed or cannot be imported."""
    _prepare_torchvision()
    try:
        import transformers
    except ImportError as error:
        raise EdgekitError(
            f"transformers cannot be imported: {error}", where=where, fix="pip install 'edgekit[experts]'"
        ) from error
    transformers.utils.logging.set_verbosity_error()  # what it warns of is about training and generating text
    transformers.utils.logging.disable_progress_bar()
    return transformers


def _prepare_torchvision() -> None:
    try:
        import torchvision  # noqa: F401 - both import it
    except ImportError:
        pass  # they report it themselves if they need it
    except RuntimeError as error:
        _declare_operators(error)


def _declare_operators(error: RuntimeError) -> None:
    """Declare the operators of torchvision that are missing, without code behind them, until it imports.

    torchvision's wheel fits one build of torch. Beside another (a CPU build, say) its compiled half is not loaded, and
    its Python half fails where it registers shapes for operators that nobody declared. No network that we take
    uses them; whoever calls one gets torch's own error.
    """
    for _ in range(_MOST):
        missing = re.search(r"operator torchvision::(\w+) does not exist", str(error))
        if missing is None:
            break
        for name in [n for n in sys.modules if n.partition(".")[0] == "torchvision"]:
            del sys.modules[name]
        library = torch.library.Library("torchvision", "FRAGMENT")
        library.define(f"{missing[1]}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        _LIBRARIES.append(library)
        try:
            import torchvision  # noqa: F401

            return
        except RuntimeError as another:
            error = another
    raise EdgekitError(
        f"torchvision cannot be imported: {error}",
        where="this Python",
        fix="install the torchvision that belongs to this torch",
    ) from error

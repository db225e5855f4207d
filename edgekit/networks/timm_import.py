"""Importing timm, which is an extra, also where torchvision has no compiled operators beside this torch."""

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
    try:
        import torchvision  # noqa: F401 - timm imports it
    except ImportError:
        pass  # told below, by what timm says of it
    except RuntimeError as error:
        _declare_operators(error)
    try:
        import timm
    except ImportError as error:
        raise EdgekitError(
            f"timm cannot be imported: {error}",
            where="teacher.members",
            fix="pip install 'edgekit[timm]'",
        ) from error
    return timm


def _declare_operators(error: RuntimeError) -> None:
    """Declare the operators of torchvision that are missing, without code behind them, until it imports.

    torchvision's wheel fits one build of torch. Beside another (a CPU build, say) its compiled half is not loaded, and
    its Python half fails where it registers shapes for operators that nobody declared. timm's networks use none of
    them; whoever calls one gets torch's own error.
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
        f"torchvision, which timm needs, cannot be imported: {error}",
        where="teacher.members",
        fix="install the torchvision that belongs to this torch",
    ) from error

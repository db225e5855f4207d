"""edgekit: from a recipe to a student under one million parameters, and from there to the device."""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edgekit.api import DistillResult as DistillResult
    from edgekit.api import EvaluateResult as EvaluateResult
    from edgekit.api import ExportResult as ExportResult
    from edgekit.api import Requirement as Requirement
    from edgekit.api import distill as distill
    from edgekit.api import evaluate as evaluate
    from edgekit.api import export as export
    from edgekit.errors import EdgekitError as EdgekitError
    from edgekit.runtime.load import load as load

__version__ = "0.1.0"

# Imported when asked for, so that the command line starts without numpy, and a device needs no torch.
_HOMES = {
    "load": "edgekit.runtime.load",
    "EdgekitError": "edgekit.errors",
    **dict.fromkeys(("DistillResult", "EvaluateResult", "ExportResult", "Requirement"), "edgekit.api"),
}
_CALLABLE_ROOMS = ("distill", "evaluate", "export")


class _Room(ModuleType):
    """A folder that is also the function of its name: ``edgekit.export(run)`` beside ``edgekit.export.files``."""

    def __call__(self, *args: Any, **options: Any) -> Any:
        return getattr(import_module("edgekit.api"), self.__name__.rpartition(".")[2])(*args, **options)


class _Package(ModuleType):
    def __setattr__(self, name: str, value: Any) -> None:
        if name in _CALLABLE_ROOMS:  # the import system names a folder that was imported here
            value.__class__ = _Room
        super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package


def __getattr__(name: str) -> Any:
    if name in _CALLABLE_ROOMS:
        return import_module(f"edgekit.{name}")
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'edgekit' has no attribute '{name}'")

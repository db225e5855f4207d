"""Network families: dense predictors that teachers and students are made of, one file each.

A family is ``Network(in_channels, out_channels, **shape)``, maps (B, in_channels, H, W) to
(B, out_channels, ⌈H/stride⌉, ⌈W/stride⌉) for any H and W, and has ``stride`` and ``features(x)`` (what its head reads).
To add one: write the file, add its line here; tests/networks/ runs every line of this table. Another package offers one
as an entry point of the group ``edgekit.networks``.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from torch import nn

from edgekit.networks.lite import Lite
from edgekit.networks.repseg import RepSeg
from edgekit.networks.safeuav import SafeUAV
from edgekit.networks.timm_encoder import ENCODER, TimmSegmenter
from edgekit.parts import Parts

FAMILIES: Parts[type[nn.Module]] = Parts(
    "edgekit.networks",
    "network family",
    {
        "repseg": RepSeg,
        "lite": Lite,
        "safeuav": SafeUAV,
        "timm": TimmSegmenter,
    },
    base=nn.Module,
    classes=True,
)


def resolved_shape(family: str, given: dict[str, Any]) -> dict[str, Any]:
    """Every argument of the family's shape: those that are given, and its own defaults for the others."""
    parameters = inspect.signature(FAMILIES[family]).parameters.values()
    own = {p.name: p.default for p in parameters if p.kind is p.KEYWORD_ONLY}
    return {**own, **given}


def encoder_of(family: str, shape: Mapping[str, Any]) -> str | None:
    """timm's name of the encoder whose weights a network of this family and shape can begin with, if there is one."""
    if family == "timm":
        return shape.get("encoder", ENCODER)
    return getattr(FAMILIES[family], "encoder_name", None)


def parameter_count(module: nn.Module) -> int:
    """Number of learned values (batch-norm statistics are not learned and do not count)."""
    return sum(p.numel() for p in module.parameters())

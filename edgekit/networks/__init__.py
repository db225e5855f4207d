"""Network families: dense predictors that teachers and students are made of, one file each.

A family is ``Network(in_channels, out_channels, **shape)``, maps (B, in_channels, H, W) to
(B, out_channels, ⌈H/stride⌉, ⌈W/stride⌉) for any H and W, and has ``stride`` and ``features(x)`` (what its head reads).
Pixel i of an answer is about pixel i·stride of the frame, whatever H and W (``edgekit.networks.resolutions``).
To add one: write the file, add its line here; tests/networks/ runs every line of this table. Another package offers one
as an entry point of the group ``edgekit.networks``.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

import torch
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


def check_shape(family: str, own: Mapping[str, Any], changes: Mapping[str, int | Sequence[int]]) -> None:
    """ValueError where ``changes`` of a shape ``own`` make no network of the family; nothing large is built."""
    usual = {name: value for name, value in resolved_shape(family, dict(own)).items() if name != "width"}
    for name, value in changes.items():
        if name not in usual:
            raise ValueError(f"the family {family} has no '{name}' in its shape; it has {', '.join(usual) or 'none'}")
        numbers = value if isinstance(value, Sequence) else [value]
        if isinstance(value, Sequence) != isinstance(usual[name], Sequence) or not all(0 <= n <= 64 for n in numbers):
            raise ValueError(f"'{name}' is like {usual[name]}, of numbers from 0 to 64, and not {value}")
        if len(numbers) > 16:
            raise ValueError(f"'{name}' has {len(numbers)} entries, and at most 16 make a network")
    try:
        with torch.device("meta"), torch.random.fork_rng(devices=[]):  # shapes alone
            network = FAMILIES[family](3, 1, **{**own, **changes}).eval()
            network(torch.empty(1, 3, 64, 64))
        if any(min(conv.dilation) < 1 for conv in network.modules() if isinstance(conv, nn.Conv2d)):
            raise ValueError("a dilation is 1 or more")  # which shapes alone do not show
    except Exception as error:  # of many types, as a family's own code meets them
        raise ValueError(f"the family {family} makes no network of {dict(changes)}: {error}") from None


def encoder_of(family: str, shape: Mapping[str, Any]) -> str | None:
    """timm's name of the encoder whose weights a network of this family and shape can begin with, if there is one."""
    if family == "timm":
        return shape.get("encoder", ENCODER)
    return getattr(FAMILIES[family], "encoder_name", None)


def parameter_count(module: nn.Module) -> int:
    """Number of learned values (batch-norm statistics are not learned and do not count)."""
    return sum(p.numel() for p in module.parameters())

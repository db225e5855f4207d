"""Which layer runs where and in which precision, as the engine's inspector reports it."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

# In TensorRT 8 a tensor's type is in words ("Thirty-two wide channel vectorized row major Int8 format"), from 10 it is
# a name ("Half").
_TYPES = (
    ("int8", r"\bint8\b"),
    ("uint8", r"\buint8\b"),
    ("bf16", r"\bbf(loat)?16\b"),
    ("fp16", r"\b(fp16|half|float16)\b"),
    ("fp8", r"\bfp8\b"),
    ("fp32", r"\b(fp32|float|float32)\b"),
    ("int32", r"\bint(32|64)\b"),
    ("bool", r"\bbool\b"),
)
_MOVES = ("reformat", "quantize", "dequantize", "shuffle", "cast", "noop")
"""Layers that read one type to write another: what they write counts."""


def inspect_layers(trt: Any, engine: Any) -> list[dict[str, Any]]:
    """name, type, device and precision of every layer. An engine without that information gives names alone."""
    inspector = engine.create_engine_inspector()
    return layers_of(inspector.get_engine_information(trt.LayerInformationFormat.JSON))


def layers_of(text: str) -> list[dict[str, Any]]:
    """The same from the inspector's JSON; empty for anything else."""
    try:
        found = json.loads(text)["Layers"]
    except (ValueError, KeyError, TypeError):
        return []
    return [_layer(entry) for entry in found]


def _layer(entry: Any) -> dict[str, Any]:
    if not isinstance(entry, dict):
        return {"name": str(entry), "type": "unknown", "device": "unknown", "precision": "unknown"}
    kind = str(entry.get("LayerType", "unknown"))
    dla = kind.upper() == "DLA" or ("foreignnode" in str(entry.get("Name", "")).lower() and "dla" in kind.lower())
    reads = [_type(t) for t in entry.get("Inputs", [])]
    writes = [_type(t) for t in entry.get("Outputs", [])]
    moves = any(word in kind.lower() for word in _MOVES)
    # An int8 convolution may write fp16: it computes in what it reads.
    precision = "int8" if "int8" in reads and not moves else (writes or reads or ["unknown"])[0]
    return {
        "name": str(entry.get("Name", "")),
        "type": kind,
        "device": "DLA" if dla else "GPU",
        "precision": precision,
    }


def _type(tensor: Any) -> str:
    words = str(tensor.get("Format/Datatype", "")).lower() if isinstance(tensor, dict) else ""
    return next((name for name, pattern in _TYPES if re.search(pattern, words)), "unknown")


def count_layers(layers: Sequence[dict[str, Any]]) -> dict[str, int]:
    """How many layers run on which device and in which precision: "GPU int8" → count, most first."""
    return dict(Counter(f"{layer['device']} {layer['precision']}" for layer in layers).most_common())

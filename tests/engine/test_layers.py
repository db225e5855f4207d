"""Layers, devices and precisions out of the inspector's JSON, in the words of TensorRT 8 and of TensorRT 10."""

from __future__ import annotations

import json

import pytest

from edgekit.engine.layers import count_layers, layers_of


def layer(kind: str, reads: list[str], writes: list[str], name: str = "conv") -> dict:
    def tensors(types):
        return [{"Name": "t", "Dimensions": [1, 8, 4, 4], "Format/Datatype": t} for t in types]

    return {"Name": name, "LayerType": kind, "Inputs": tensors(reads), "Outputs": tensors(writes)}


@pytest.mark.parametrize(
    ("entry", "device", "precision"),
    [
        (layer("CaskConvolution", ["Four wide channel vectorized row major Int8 format"] * 1,
               ["Row major linear FP32"]), "GPU", "int8"),
        (layer("CaskConvolution", ["Channel major FP16 format where channel % 8 == 0"],
               ["Channel major FP16 format where channel % 8 == 0"]), "GPU", "fp16"),
        (layer("CaskConvolution", ["Row major linear FP32"], ["Row major linear FP32"]), "GPU", "fp32"),
        (layer("CaskConvolution", ["Half"], ["Half"]), "GPU", "fp16"),
        (layer("CaskConvolution", ["Int8"], ["Half"]), "GPU", "int8"),
        (layer("Reformat", ["Int8"], ["Half"]), "GPU", "fp16"),
        (layer("Quantize", ["Half"], ["Int8"]), "GPU", "int8"),
        (layer("kgen", ["Float"], ["UInt8"]), "GPU", "uint8"),
        (layer("DLA", ["Int8"], ["Int8"], "{ForeignNode[a...b]}"), "DLA", "int8"),
        (layer("TopK", ["Float"], ["Int32"]), "GPU", "int32"),
        (layer("Gemm", ["BFloat16"], ["BF16"]), "GPU", "bf16"),
        ("an engine built without details", "unknown", "unknown"),
        ({"Name": "odd"}, "GPU", "unknown"),
    ],
)  # fmt: skip
def test_one_layer(entry, device, precision):
    (found,) = layers_of(json.dumps({"Layers": [entry]}))
    assert (found["device"], found["precision"]) == (device, precision)


@pytest.mark.parametrize("text", ["", "null", "[]", '{"Bindings": []}', '{"Layers": ', '{"Layers": []}'])
def test_no_layers(text):
    assert layers_of(text) == []


def test_summary_counts_most_first():
    entries = [layer("c", ["Half"], ["Half"]), layer("c", ["Int8"], ["Int8"]), layer("c", ["Int8"], ["Half"])]
    found = count_layers(layers_of(json.dumps({"Layers": entries})))
    assert list(found.items()) == [("GPU int8", 2), ("GPU fp16", 1)]

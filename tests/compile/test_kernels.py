"""Reading the compiler's table of kernels: as four releases wrote it, and what none of them wrote."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekit.compile.kernels import count, kernels_of

TABLES = Path(__file__).parent / "tables"


@pytest.mark.parametrize("release", ["1.4", "1.5", "1.6"])
def test_a_half_precision_network_as_three_releases_tell_it(release):
    """Convolution + ReLU, sigmoid + sum, convolution: known from the network that was built."""
    kernels, strange = kernels_of((TABLES / f"rtx-{release}.txt").read_text())
    assert strange == ()
    assert [kernel.kind for kernel in kernels] == ["kgen", "correlation", "kgen", "correlation", "kgen"]
    assert [kernel.nodes for kernel in kernels] == [
        (), ("conv0", "relu1"), ("sigmoid2", "add3"), ("conv4",), (),
    ]  # fmt: skip
    assert {t.type for kernel in kernels for t in (*kernel.reads, *kernel.writes)} == {"FP16"}
    assert {t.shape for kernel in kernels for t in (*kernel.reads, *kernel.writes)} == {(1, 16, 28, 48)}
    assert kernels[1].writes[0] in kernels[2].reads  # so that the picture can say who reads from whom
    assert count(kernels)["convolutions_reading"] == {"FP16": 2}


def test_quantize_between_two_convolutions_is_a_kernel_of_its_own():
    kernels, strange = kernels_of((TABLES / "rtx-1.7.txt").read_text())
    assert strange == ()
    assert [(k.kind, k.precision, k.writes[0].type) for k in kernels] == [
        ("kgen", "FP16", "INT8"),
        ("correlation", "INT8", "FP32"),
        ("kgen", "FP32", "INT8"),
        ("correlation", "INT8", "FP32"),
        ("kgen", "FP32", "FP16"),
    ]
    assert set(kernels[2].nodes) == {"relu0", "conv0", "a1.qq"}
    expected = {"kernels": 5, "convolutions": 2, "convolutions_reading": {"INT8": 2}, "others": {"kgen": 3}}
    assert count(kernels) == expected


HOST = "Name: __mye1_0_myl0_0, LayerType: shape_call, Inputs: [], Constants: [], Outputs: [], TacticName: , Metadata: "
FUSED = (
    "Name: __myl_CorrCast_myl0_16, LayerType: runtime_fusion, Inputs: [ { Name: a, Dimensions: [-1,16,-1,24], "
    "Format/Datatype: Half }], Outputs: [ { Name: b, Dimensions: [], Format/Datatype: Float }], TacticName: , "
    "Metadata: [ONNX Layer: node[0], of a list]\x1f[ONNX Layer: cast]"
)


def test_host_work_open_shapes_fusions_and_names_with_brackets():
    kernels, strange = kernels_of(f"Layers:\n{HOST}\n{FUSED}\n\nI/O Tensors:\n Name: frames, IOMode: Input")
    assert strange == () and len(kernels) == 1
    assert kernels[0].convolves and kernels[0].nodes == ("node[0], of a list", "cast")
    assert kernels[0].reads[0].shape == (-1, 16, -1, 24) and kernels[0].writes[0].shape == ()
    assert not kernels_of(f"Layers:\n{FUSED.replace('CorrCast', 'AddCast')}")[0][0].convolves


@pytest.mark.parametrize(
    "line",
    [
        "Name: a, Kind: kgen, Inputs: []",
        FUSED.replace("Outputs", "Results"),
        FUSED.replace("Format/Datatype: Half", "Half"),
        FUSED.replace("{ Name: a,", "{ Tensor: a,"),
        "something else altogether",
    ],
)
def test_a_line_of_another_form_is_handed_back_and_not_guessed_at(line):
    kernels, strange = kernels_of(f"Layers:\n{line}\n{HOST}\n{FUSED}")
    assert strange == (line,) and len(kernels) == 1


@given(st.text())
def test_no_text_is_lost_or_breaks_it(text):
    kernels, strange = kernels_of(f"Layers:\n{text}")
    lines = [line for line in f"\n{text}".partition("\n\n")[0].split("\n") if line.strip()]
    assert kernels == () and strange == tuple(lines)


@pytest.mark.parametrize("table", sorted(TABLES.iterdir()), ids=lambda path: path.stem)
def test_a_picture_of_every_table(table):
    from edgekit.compile.picture import picture

    kernels, _ = kernels_of(table.read_text())
    texts = [text.get_text() for text in picture(kernels, "a network").axes[0].texts]
    convolutions = [kernel for kernel in kernels if kernel.convolves]
    assert convolutions
    for kernel in convolutions:
        assert any(f"convolution: {kernel.nodes[0]}" in text for text in texts), texts


def test_a_picture_of_two_convolutions():
    from edgekit.compile.picture import picture

    kernels, _ = kernels_of((TABLES / "rtx-1.7.txt").read_text())
    texts = [text.get_text() for text in picture(kernels, "two convolutions").axes[0].texts]
    assert any("convolution: conv0" in text for text in texts) and "FP32 → INT8" in texts
    assert sum(text == "" for text in texts) == 4  # arrows: each reads from the one before

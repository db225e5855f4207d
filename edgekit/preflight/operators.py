"""Which ONNX operators TensorRT's parser knows: docs/operators.md of onnx-tensorrt, releases 8.5 and 10.15."""

from __future__ import annotations

from onnx import NodeProto

from edgekit.boards.table import numbers
from edgekit.preflight.finding import Finding, Target
from edgekit.preflight.network import Network

_SINCE_8_5 = """
    Abs Acos Acosh Add And ArgMax ArgMin Asin Asinh Atan Atanh AveragePool BatchNormalization Cast Ceil Celu
    Clip Concat Constant ConstantOfShape Conv ConvTranspose Cos Cosh CumSum DepthToSpace DequantizeLinear Div
    Dropout Einsum Elu Equal Erf Exp Expand EyeLike Flatten Floor Gather GatherElements GatherND Gemm
    GlobalAveragePool GlobalLpPool GlobalMaxPool Greater GreaterOrEqual GridSample GRU HardSigmoid HardSwish
    Identity If ImageScaler InstanceNormalization IsNaN LeakyRelu Less LessOrEqual Log LogSoftmax Loop
    LpNormalization LpPool LRN LSTM MatMul Max MaxPool Mean MeanVarianceNormalization Min Mod Mul Neg
    NonMaxSuppression NonZero Not OneHot Or Pad ParametricSoftplus Pow PRelu QuantizeLinear RandomNormal
    RandomNormalLike RandomUniform RandomUniformLike Range Reciprocal ReduceL1 ReduceL2 ReduceLogSum
    ReduceLogSumExp ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum ReduceSumSquare Relu Reshape Resize
    ReverseSequence RNN RoiAlign Round ScaledTanh Scan Scatter ScatterElements ScatterND Selu Shape Shrink
    Sigmoid Sign Sin Sinh Size Slice Softmax Softplus Softsign SpaceToDepth Split Sqrt Squeeze Sub Sum Tan Tanh
    ThresholdedRelu Tile TopK Transpose Trilu Unsqueeze Upsample Where Xor
"""
SINCE_8_5 = frozenset(_SINCE_8_5.split())

# First TensorRT release → operators that came with it: docs/Changelog.md of onnx-tensorrt. Which release up to 10.15
# added those of its row is not known; the latest is assumed, so that lint warns rather than stays silent.
SINCE: dict[str, frozenset[str]] = {
    "8.6": frozenset(("GroupNormalization", "IsInf", "LayerNormalization")),
    "10.0": frozenset(("Hardmax",)),
    "10.1": frozenset(("DeformConv",)),
    "10.4": frozenset(("BlackmanWindow", "HammingWindow", "HannWindow")),
    "10.5": frozenset(("STFT",)),
    "10.15": frozenset(
        ("Attention", "CastLike", "Gelu", "Mish", "RMSNormalization", "RotaryEmbedding", "TensorScatter")
    ),
}

INSTEAD = {
    "MaxUnpool": "upsample with Resize (bilinear or nearest) or ConvTranspose",
    "QLinearConv": "quantize with Q/DQ: QuantizeLinear and DequantizeLinear around a float Conv",
    "QLinearMatMul": "quantize with Q/DQ: QuantizeLinear and DequantizeLinear around a float MatMul",
    "ConvInteger": "quantize with Q/DQ around a float Conv",
    "MatMulInteger": "quantize with Q/DQ around a float MatMul",
    "DynamicQuantizeLinear": "quantize statically: calibrate, then Q/DQ",
    "LayerNormalization": "write it as ReduceMean, Sub, Pow, Sqrt, Div (opset 16 exports it so), or use batch norm",
    "GroupNormalization": "write it as InstanceNormalization between two Reshapes, or use batch norm",
    "Gelu": "write it with Erf (opset 17 exports it so), or use Relu",
    "Mish": "write it as Mul(x, Tanh(Softplus(x))) (opset 17 exports it so), or use Relu",
}


def operator(network: Network, node: NodeProto, target: Target) -> Finding | None:
    """An operator that this JetPack's TensorRT does not parse."""
    if network.is_folded(node) and node.op_type == "Constant":
        return None
    tensorrt = target.jetpack.tensorrt
    change = INSTEAD.get(node.op_type, "write it with operators that TensorRT knows, or leave it to the CPU")
    if node.domain not in ("", "ai.onnx"):
        why = f"{node.domain}.{node.op_type} is no standard ONNX operator: TensorRT needs a plugin of that name"
        return Finding("operator", "error", why, change)
    if node.op_type in SINCE_8_5:
        return None
    for since, names in SINCE.items():
        if node.op_type in names:
            if numbers(tensorrt) >= numbers(since):
                return None
            why = f"{node.op_type} came with TensorRT {since}, JetPack {target.jetpack.version} has {tensorrt}"
            return Finding("operator", "error", why, change)
    return Finding("operator", "error", f"TensorRT does not know {node.op_type}", change)

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

# Listed at 10.15 and not at 8.5. Which release in between added each is not known; the later one is assumed, so that
# lint warns rather than stays silent.
_SINCE_10_15 = """
    Attention BlackmanWindow CastLike DeformConv Gelu HammingWindow HannWindow Hardmax Mish RMSNormalization
    RotaryEmbedding STFT
"""
SINCE_10_15 = frozenset(_SINCE_10_15.split())
SINCE_10 = frozenset(("GroupNormalization", "IsInf", "LayerNormalization"))

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
    for since, names in (("10.0", SINCE_10), ("10.15", SINCE_10_15)):
        if node.op_type in names:
            if numbers(tensorrt) >= numbers(since):
                return None
            why = f"{node.op_type} is listed from TensorRT {since} on, JetPack {target.jetpack.version} has {tensorrt}"
            return Finding("operator", "error", why, change)
    return Finding("operator", "error", f"TensorRT does not know {node.op_type}", change)

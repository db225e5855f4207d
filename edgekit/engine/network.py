"""An ONNX file as a TensorRT network, or the parser's errors with the nodes that caused them."""

from __future__ import annotations

from typing import Any

from edgekit.errors import EdgekitError
from edgekit.runtime.tensorrt.log import take_errors, tensorrt_logger

SHOWN = 5


def parse_network(trt: Any, builder: Any, model: bytes, *, strong: bool, where: str) -> tuple[Any, Any]:
    """(network, parser): the parser must live as long as the network, which uses its weights.

    strong: types are the file's, and no flag changes them.
    """
    flags, kinds = 0, trt.NetworkDefinitionCreationFlag
    if strong:
        flags |= 1 << int(kinds.STRONGLY_TYPED)
    if hasattr(kinds, "EXPLICIT_BATCH"):  # needed up to 8, always so from 10, gone in 11
        flags |= 1 << int(kinds.EXPLICIT_BATCH)
    network = builder.create_network(flags)
    logger = tensorrt_logger(trt)
    logger.lines.clear()
    parser = trt.OnnxParser(network, logger)
    if not parser.parse(model):
        errors = [parser.get_error(i) for i in range(parser.num_errors)]
        said = [_describe(error) for error in errors] or [take_errors(logger) or "it gives no reason"]
        more = f"; and {len(said) - SHOWN} more" if len(said) > SHOWN else ""
        raise EdgekitError(
            f"TensorRT {trt.__version__}'s parser does not take the network: {'; '.join(said[:SHOWN])}{more}",
            where=where,
            fix="see what each node would need with `edgekit lint`, or build another lane or precision of the bundle",
        )
    return network, parser


def _describe(error: Any) -> str:
    """One parser error with its node: by name from TensorRT 10 on, by number before."""
    node = f"node {error.node()}"
    if hasattr(error, "node_name") and error.node_operator():
        node += f" '{error.node_name()}' ({error.node_operator()})"
    return f"{node}: {error.desc()} [{error.code().name}]"

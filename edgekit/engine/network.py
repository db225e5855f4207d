"""An ONNX file as a TensorRT network, or its parser's errors with the nodes they are about."""

from __future__ import annotations

from typing import Any

from edgekit.engine.onnx_nodes import nodes
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
        named = nodes(model)
        errors = [parser.get_error(i) for i in range(parser.num_errors)]
        said = [_describe(error, named) for error in errors] or [take_errors(logger) or "it gives no reason"]
        more = f"; and {len(said) - SHOWN} more" if len(said) > SHOWN else ""
        raise EdgekitError(
            f"TensorRT {trt.__version__}'s parser does not take the network: {'; '.join(said[:SHOWN])}{more}",
            where=where,
            fix="see what each node would need with `edgekit lint`, or build another lane or precision of the bundle",
        )
    return network, parser


def _describe(error: Any, named: list[tuple[str, str]]) -> str:
    """One parser error with its node, by name where the parser or the file gives one."""
    index = error.node()
    name, operator = named[index] if 0 <= index < len(named) else ("", "")
    if hasattr(error, "node_name"):  # from TensorRT 10
        name, operator = error.node_name() or name, error.node_operator() or operator
    node = f"node {index}" + (f" '{name}'" if name else "") + (f" ({operator})" if operator else "")
    return f"{node}: {error.desc()} [{error.code().name}]"

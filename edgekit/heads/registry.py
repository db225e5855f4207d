"""The torch half of the task kinds, found by the kind's name: one file and one line here for a new one."""

from __future__ import annotations

from edgekit.heads.binary import BinaryHead
from edgekit.heads.depth import DepthHead
from edgekit.heads.head import Head
from edgekit.heads.normals import NormalsHead
from edgekit.heads.semantic import SemanticHead

HEADS: dict[str, Head] = {
    "semantic": SemanticHead(),
    "depth": DepthHead(),
    "normals": NormalsHead(),
    "binary": BinaryHead(),
}

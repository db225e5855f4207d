"""The torch half of the task kinds, found by the kind's name: one file and one line here for a new one."""

from __future__ import annotations

from edgekit.heads.binary import BinaryHead
from edgekit.heads.depth import DepthHead
from edgekit.heads.head import Head
from edgekit.heads.modality import ModalityHead
from edgekit.heads.normals import NormalsHead
from edgekit.heads.semantic import SemanticHead
from edgekit.parts import Parts

_OWN = {
    "semantic": SemanticHead(),
    "depth": DepthHead(),
    "normals": NormalsHead(),
    "binary": BinaryHead(),
    "modality": ModalityHead(),
}
HEADS: Parts[Head] = Parts("edgekit.heads", "kind of task in torch", _OWN, base=Head)

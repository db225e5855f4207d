"""Kinds of derived maps by the name they have in a pipeline: one line here for a new one.

Another package offers one as an entry point of the group ``edgekit.derivations``.
"""

from __future__ import annotations

from edgekit.data.derived.derivation import Derivation
from edgekit.data.derived.flow import FlowDis
from edgekit.data.derived.normals import PlaneNormals
from edgekit.data.derived.places import Nearby, SafeLanding
from edgekit.data.derived.votes import Disagreement, Majority, MapClasses, Vote
from edgekit.parts import Parts

DERIVATIONS: Parts[type[Derivation]] = Parts(
    "edgekit.derivations",
    "derived map",
    {
        "disagreement": Disagreement,
        "flow_dis": FlowDis,
        "majority": Majority,
        "map_classes": MapClasses,
        "nearby": Nearby,
        "plane_normals": PlaneNormals,
        "safe_landing": SafeLanding,
        "vote": Vote,
    },
    base=Derivation,
    classes=True,
)

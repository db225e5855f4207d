"""Files as an export makes them, of a student that nothing was measured of: kernels and time depend on no range."""

from __future__ import annotations

from collections.abc import Sequence

from edgekit.export.body import bodies
from edgekit.export.deploy import Deployed
from edgekit.export.files import ExportPlan, deployed
from edgekit.export.lanes import ArtifactRow
from edgekit.graphs.halve import halved
from edgekit.pipeline.int8 import write_row
from edgekit.quantize.config import QuantizeConfig
from edgekit.quantize.topology import Topology
from edgekit.students.student import Student


def draft_files(
    rows: Sequence[ArtifactRow], student: Student, plan: ExportPlan, config: QuantizeConfig
) -> dict[str, Deployed]:
    """File → its graph, of every row; those with Q/DQ have made-up ranges."""
    made = bodies(student, plan.preprocessing.size, sorted({row.opset for row in rows}))
    base, keep = made[min(made)], frozenset(config.keep_float)
    ranges = dict.fromkeys(Topology(base).activations, (-1.0, 1.0))
    files = {}
    for row in {row.file: row for row in rows}.values():
        if row.style:
            graph = write_row(row, base, ranges, keep, reduce_range=config.reduce_range)
        else:
            graph = halved(made[row.opset]) if row.half else made[row.opset]
        files[row.file] = deployed(row, graph, plan)
    return files

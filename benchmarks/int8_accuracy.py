"""What INT8 costs each task: the figures that bundles were exported with, side by side.

    python benchmarks/int8_accuracy.py BUNDLE [BUNDLE …] [--write]

Reads the manifests: scores of the module, the fp32 file and the INT8 file on the recipe's evaluated split, through the
same Predictor as on a device. --write puts the section into RESULTS.md.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from results import provenance, table, write_section

from edgekit.bundle.bundle import open_bundle
from edgekit.bundle.manifest import Manifest
from edgekit.errors import EdgekitError
from edgekit.tasks import kind_of

SECTION = "INT8 accuracy"
STAGES = ("module", "fp32", "int8")


def rows(manifest: Manifest) -> list[list[str]]:
    """One row per task: recipe, student, parameters, split, metric, then the metric of each stage and INT8's cost.

    EdgekitError for a bundle that was exported without metrics.
    """
    missing = [stage for stage in STAGES if stage not in manifest.metrics]
    if missing:
        raise EdgekitError(
            f"the bundle '{manifest.name}' has no metrics of {', '.join(missing)}",
            fix="export it from a run, with the CPU's files and with metrics",
        )
    found = []
    for task in manifest.tasks:
        metric = kind_of(task).primary.name
        values = [manifest.metrics[stage][task.name][metric] for stage in STAGES]
        factor, digits = (100, 2) if metric == "miou" else (1, 4)
        facts = manifest.provenance
        found.append(
            [
                f"{facts['recipe']}, {facts['split']} ({facts['metric_frames']} frames)",
                f"{manifest.student.name} {manifest.student.parameters:,}",
                f"{task.name}: {metric}{' %' if factor == 100 else ''}",
                *(f"{factor * value:.{digits}f}" for value in values),
                f"{factor * (values[2] - values[1]):+.{digits}f}",
            ]
        )
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bundles", nargs="+", type=Path)
    parser.add_argument("--write", action="store_true", help=f"put the section '{SECTION}' into RESULTS.md")
    given = parser.parse_args()
    found = [row for path in given.bundles for row in rows(open_bundle(path).manifest)]
    header = ["data", "student (fused)", "metric", *STAGES, "int8 − fp32"]
    body = "\n\n".join([provenance(("onnxruntime", "onnx")), table(header, found, left=3)])
    print(body)
    if given.write:
        write_section(SECTION, body)


if __name__ == "__main__":
    main()

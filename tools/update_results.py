"""Put the tables of finished runs into docs/results.md, so that no figure there is typed by hand.

    python tools/update_results.py runs/uav-1a2b3c4d5e runs/semantic-drone-5e4d3c2b1a

Replaces what stands between ``<!-- run NAME -->`` and ``<!-- end -->``, NAME the recipe's name.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

PAGE = Path(__file__).parent.parent / "docs" / "results.md"


def section(run: Path) -> tuple[str, str]:
    """(recipe name, Markdown) of a finished run."""
    result = json.loads((run / "result.json").read_text())
    environment = json.loads((run / "environment.json").read_text())
    name = re.search(r"^name: (\S+)$", (run / "recipe.yaml").read_text(), re.MULTILINE)[1]
    stages = ", ".join(f"{stage} {seconds:.0f} s" for stage, seconds in result["seconds"].items())
    facts = [
        f"Split `{result['split']}`, {result['frames'][result['split']]} frames. "
        f"Student: {result['parameters']:,} parameters; teachers: {len(result['teachers'])} networks of "
        f"{result['teachers'][0]:,}; targets: "
        f"{result['target_bytes_per_frame'] / 1000:.0f} kB per frame.",
        f"Time: {stages}; {environment['threads']} threads of {environment['machine']}, torch "
        f"{environment['packages']['torch']}.",
    ]
    verdict = {True: "holds", False: "**does not hold**"}
    held = [f"- {verdict[r['holds']]}: {r['name']} ({r['found']})" for r in result["requirements"]]
    return name, "\n".join([(run / "table.md").read_text(), *facts, "", *held, ""])


def main(runs: list[str]) -> None:
    text = PAGE.read_text()
    for run in runs:
        name, body = section(Path(run))
        pattern = re.compile(rf"(<!-- run {re.escape(name)} -->\n).*?(<!-- end -->)", re.DOTALL)
        if not pattern.search(text):
            sys.exit(f"{PAGE.name} has no section for '{name}'")
        text = pattern.sub(lambda match, body=body: match[1] + body + match[2], text)
    PAGE.write_text(text)


if __name__ == "__main__":
    main(sys.argv[1:])

"""Writes docs/boards.md from the data file of boards and JetPacks.

python tools/boards_page.py
"""

from __future__ import annotations

from pathlib import Path

from edgekit.boards.table import Board, numbers, table

PAGE = Path(__file__).parents[1] / "docs" / "boards.md"

_TOP = """\
# Boards and JetPacks

Made from `edgekit/boards/boards.yaml` by `python tools/boards_page.py`. A figure with (?) was not checked against a
published one: it comes from arithmetic, memory or the data sheet of a sibling.

## Boards

Rates are those of the GPU alone, dense, at its highest clock. Orin's and Thor's advertised figures are sparse and count
the DLAs. A `-super` row is the same module in the power modes that JetPack 6.2 brought.

"""

_HEAD = (
    "`--board`", "SM", "memory", "advertised", "INT8 TOPS", "FP16 TFLOPS", "GB/s", "GPU MHz", "DLA cores",
    "DLA INT8 TOPS", "power modes", "JetPack",
)  # fmt: skip
_FIELDS = (
    "sm", "memory_gb", "advertised", "int8_tops", "fp16_tflops", "memory_gbs", "gpu_mhz", "dla_cores", "dla_int8_tops",
    "power_modes",
)  # fmt: skip


def page() -> str:
    known = table()
    lines = [_TOP.rstrip("\n"), "", *_table(_HEAD, [_board_row(board) for board in known.boards.values()]), ""]
    lines += ["Not supported:", ""]
    lines += [f"- {board.title}: {board.why}." for board in known.old_boards.values()]
    lines += [f"- JetPack {row.version}: {row.why}." for row in known.old_jetpacks.values()]
    lines += ["", "## JetPacks", ""]
    head = ("JetPack", "L4T", "TensorRT", "newest opset", "CUDA", "Python", "builds for DLA")
    rows = [
        (
            jetpack.version,
            _doubtful(_releases(*jetpack.l4t), "l4t", jetpack.unverified),
            _doubtful(jetpack.tensorrt, "tensorrt", jetpack.unverified),
            jetpack.opset,
            jetpack.cuda,
            jetpack.python,
            "yes" if jetpack.dla else "no",
        )
        for jetpack in known.jetpacks.values()
    ]
    lines += _table(head, rows)
    lines += [
        "",
        "A patch release belongs to the row below it: 5.1.3 is 5.1. On AGX Orin with JetPack 7.2.2, TensorRT 11.4.1",
        "may be installed in place of its own, and builds for DLA again.",
    ]
    return "\n".join(lines) + "\n"


def _board_row(board: Board) -> tuple[str, ...]:
    cells = []
    for field in _FIELDS:
        value = getattr(board, field)
        text = ", ".join(value) if isinstance(value, tuple) else f"{value} GB" if field == "memory_gb" else f"{value}"
        text = text.removesuffix(".0") if isinstance(value, float) else text
        cells.append(_doubtful(text, field, board.unverified))
    return f"`{board.name}`", *cells, ", ".join(sorted(board.jetpacks, key=numbers))


def _doubtful(text: str, field: str, unverified: tuple[str, ...]) -> str:
    return f"{text} (?)" if field in unverified else text


def _releases(first: str, last: str) -> str:
    if last.endswith(".99"):
        return f"{first.partition('.')[0]}.x"
    return first if first == last else f"{first}–{last}"


def _table(head: tuple, rows: list[tuple]) -> list[str]:
    return [f"| {' | '.join(map(str, row))} |" for row in (head, ["---"] * len(head), *rows)]


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")

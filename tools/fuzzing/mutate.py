"""Mutators that know the structure of what they change: trees of values, bytes, chunks."""

from __future__ import annotations

import json
import random
from copy import deepcopy
from typing import Any

RAW = "\u0001raw:"
"""Begins a text that ``dump_json`` writes as it is, for what json.dumps would not write."""

NAMES = [
    "../outside/canary",
    "../../outside/canary.txt",
    "/etc/passwd",
    "..",
    ".",
    "",
    "a/b",
    "a\\b",
    "a\0b",
    "a\nb",
    "\x1b]0;x\x07\x1b[31m",
    "[/x]",
    "[bold]",
    ":smile:",
    "<img src=x>",
    "| a | b |",
    "# head",
    "`x`",
    "con",
    "~nosuchuser/x",
    "~",
    "x" * 300,
    "x" * 70_000,
    "森林",
    "é",
    "e\u0301",
    "\u202egnp.exe",
    "buildings(nearby)",
    "-rf",
    "$(touch x)",
    "%s%n",
    "{0.__class__}",
    "{bundle}",
    "--help",
    " ",
    "a b",
    ".hidden",
    ".part-abcdefgh",
    "CON.txt",
    "\ud800",
    "\udcff",
    "/dev/zero",
    "/dev/null",
    "file:///etc/passwd",
    "http://127.0.0.1:9/x",
    "concat:/etc/passwd",
]
"""Texts that were known to go wrong somewhere as a name or a path."""

VALUES: list[Any] = [
    None,
    True,
    False,
    0,
    -1,
    1,
    2,
    3,
    255,
    256,
    8192,
    65_536,
    10**6,
    2**31,
    2**31 - 1,
    2**32,
    2**63,
    2**63 - 1,
    -(2**63),
    2**64,
    10**30,
    0.0,
    -0.0,
    0.5,
    1.5,
    -1.5,
    1e-320,
    1e38,
    1e308,
    f"{RAW}1e999",
    f"{RAW}-1e999",
    f"{RAW}NaN",
    f"{RAW}Infinity",
    RAW + "9" * 400,
    RAW + "9" * 5000,
    f"{RAW}1.0",
    "",
    "1",
    "true",
    [],
    {},
    [[]],
    [None],
    [0, 0],
    {"": 0},
    [1] * 2000,
    ["x"] * 300,
    {"a": {"b": {"c": []}}},
    RAW + "[" * 200 + "]" * 200,
    RAW + "[" * 100_000,
    RAW + '{"a":' * 500 + "0" + "}" * 500,
    RAW + '{"a":1,"a":2}',
    RAW + '"\\ud800"',
    RAW + '"\\u0000"',
]
"""Values that were known to go wrong somewhere as a field."""


def paths_of(tree: Any, path: tuple = ()) -> list[tuple]:
    """The key path of every value of a tree, its root first."""
    found = [path]
    items = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, value in items:
        found += paths_of(value, (*path, key))
    return found


def mutate_tree(rng: random.Random, tree: Any, times: int | None = None) -> Any:
    """A copy with a few values replaced, removed, doubled, moved, renamed or of another type."""
    tree = json.loads(json.dumps(tree))
    for _ in range(times or rng.choice([1, 1, 1, 2, 3])):
        paths = paths_of(tree)
        path = rng.choice(paths[1:]) if len(paths) > 1 and rng.random() < 0.98 else ()
        if not path:
            tree = deepcopy(rng.choice(VALUES))
            break
        holder = tree
        for key in path[:-1]:
            holder = holder[key]
        _mutate(rng, tree, holder, path[-1], paths)
    return tree


def _mutate(rng: random.Random, tree: Any, holder: Any, key: Any, paths: list[tuple]) -> None:
    value, how = holder[key], rng.random()
    if how < 0.35:
        holder[key] = deepcopy(rng.choice(VALUES))  # a later mutation may change it
    elif how < 0.55:
        holder[key] = rng.choice(NAMES)
    elif how < 0.65 and isinstance(value, (int, float)) and not isinstance(value, bool):
        holder[key] = rng.choice(
            [value + 1, value - 1, -value, value * 2, value * 1000, float(value), str(value), [value]]
        )
    elif how < 0.72:
        del holder[key]
    elif how < 0.78 and isinstance(holder, dict):
        holder[rng.choice([*NAMES, "extends", "extra", "schema"])] = value
    elif how < 0.84 and isinstance(holder, dict):
        holder[rng.choice(NAMES)] = holder.pop(key)
    elif how < 0.9 and isinstance(holder, list):
        holder.insert(key, json.loads(json.dumps(value)))
    elif isinstance(value, str) and value and how < 0.95:
        at = rng.randrange(len(value))
        holder[key] = value[:at] + rng.choice(NAMES) + value[at:]
    else:
        other = tree
        for part in rng.choice(paths):
            try:
                other = other[part]
            except (KeyError, IndexError, TypeError):
                break
        holder[key] = json.loads(json.dumps(other))


def dump_json(tree: Any) -> str:
    """JSON of a tree, raw texts as they are."""
    text = json.dumps(tree)
    begin = json.dumps(RAW)[:-1]
    while (at := text.find(begin)) >= 0:
        value, end = json.JSONDecoder().raw_decode(text, at)
        text = text[:at] + value.removeprefix(RAW) + text[end:]
    return text


def mutate_bytes(rng: random.Random, content: bytes) -> bytes:
    """A few bytes flipped, cut out, doubled, or numbers of the format made large."""
    data = bytearray(content)
    for _ in range(rng.choice([1, 1, 2, 4, 16])):
        if not data:
            return bytes(rng.randrange(256) for _ in range(8))
        at, how = rng.randrange(len(data)), rng.randrange(8)
        if how == 0:
            data[at] ^= 1 << rng.randrange(8)
        elif how == 1:
            data[at] = rng.choice([0, 1, 0x7F, 0x80, 0xFF])
        elif how == 2:
            del data[at : at + rng.choice([1, 2, 4, 16, 256])]
        elif how == 3:
            data[at:at] = data[at : at + rng.choice([1, 4, 64])]
        elif how == 4:
            data[at : at + 4] = rng.choice([b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\0\0\0\0", b"\xff\xff\xff\x7f"])
        elif how == 5:
            del data[at:]
        elif how == 6:
            data += bytes(rng.randrange(256) for _ in range(rng.choice([1, 8, 512])))
        else:
            data[at : at + 8] = rng.choice([b"\xff" * 8, b"\0" * 8, b"../../..", b"\x1b[31m\x07\0\0"])
    return bytes(data)


def mutate_text(rng: random.Random, text: str) -> bytes:
    """Lines and characters of a text changed; often still of its format."""
    lines = text.splitlines()
    for _ in range(rng.choice([1, 1, 2, 3])):
        at, how = rng.randrange(len(lines) or 1), rng.randrange(9)
        line = lines[at] if lines else ""
        if how == 0:
            lines[at : at + 1] = []
        elif how == 1:
            lines.insert(at, line)
        elif how == 2:
            lines[at : at + 1] = [line.partition(":")[0] + ": " + rng.choice(YAML)]
        elif how == 3:
            lines.insert(at, rng.choice(YAML))
        elif how == 4:
            lines[at : at + 1] = [" " * rng.randrange(9) + line.lstrip()]
        elif how == 5:
            lines[at : at + 1] = [line.partition(":")[0] + ": " + json.dumps(rng.choice(NAMES))]
        elif how == 6:
            lines[at : at + 1] = [json.dumps(rng.choice(NAMES)) + ":" + line.partition(":")[2]]
        elif how == 7:
            lines[at : at + 1] = [line.partition(":")[0] + ": " + str(rng.choice(VALUES)).removeprefix(RAW)[:3000]]
        else:
            return mutate_bytes(rng, "\n".join(lines).encode("utf-8", "surrogatepass"))
    return "\n".join(lines).encode("utf-8", "surrogatepass")


_BOMB = (
    "[&a [x,x,x,x,x,x,x,x,x],&b [*a,*a,*a,*a,*a,*a,*a,*a,*a],&c [*b,*b,*b,*b,*b,*b,*b,*b],&d [*c,*c,*c,*c,*c,*c,*c],"
)
YAML = [
    _BOMB + "&e [*d,*d,*d,*d,*d,*d,*d,*d],&f [*e,*e,*e,*e,*e,*e,*e,*e],&g [*f,*f,*f,*f,*f,*f],*g]",
    "!!python/object/apply:os.system ['touch ../outside/x']",
    "!!timestamp 2020-13-45",
    "2020-13-45",
    "!!int x",
    "!!float nan",
    ".inf",
    "-.inf",
    ".nan",
    "!!binary YQ==",
    "!!set {a}",
    "!!omap [a: 1]",
    "&x [*x]",
    "&x {a: *x}",
    "[" * 300 + "]" * 300,
    "{a: " * 300 + "}" * 300,
    "<<: *none",
    "<<: [1]",
    "*none",
    "? [a, b]\n: c",
    "? {a: b}\n: c",
    "'unclosed",
    '"\\xff\\ud800"',
    "|\n  x",
    ">\n x",
    "- a\n- b",
    "0x7f",
    "0o17",
    "0b1",
    "1_000",
    "12:30:45",
    "1e999",
    "yes",
    "~",
    "null",
    "%YAML 1.1\n---",
    "--- a\n--- b",
    "...",
    "\t x",
    "a: b: c",
    "{",
    "]",
    "x" * 20_000,
    "9" * 400,
    "@",
    "`",
    "!",
    "!!str",
    "!<x> y",
    "{" + ",".join(f"k{i}: {i}" for i in range(2000)) + "}",
    "[" + "1," * 5000 + "]",
    "\ufeff",
    "\x85",
    "extends: /dev/zero",
    "extends: .",
    "scene_regex: '(a+)+$'",
    "a{4294967296}",
]
"""Values and lines of YAML that were known to go wrong somewhere."""

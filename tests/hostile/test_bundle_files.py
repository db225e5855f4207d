"""Files of a bundle that never end, unpack to more than there is memory, or hold what no such file should."""

from __future__ import annotations

import io
import json
import re
import tarfile
from pathlib import Path

import numpy as np
import pytest

from tools.fuzzing.bases import pack
from tools.fuzzing.endless import ENDLESS, endless
from tools.fuzzing.sandbox import command

ON = ("--threads", "1")


@pytest.mark.parametrize("kind", ENDLESS)
@pytest.mark.parametrize("file", ["manifest.json", "golden.npz", "fp32.onnx"])
def test_files_that_never_end(refused, bundle, kind, file):
    endless(bundle / file, kind)
    refused("bundle", "verify", bundle)


@pytest.mark.parametrize("kind", ["zero", "hole", "fifo"])
def test_an_archive_that_never_ends(refused, tmp_path, kind):
    endless(tmp_path / "b.tar", kind)
    refused("bundle", "verify", tmp_path / "b.tar")


@pytest.mark.parametrize(
    "text",
    [
        '"\\ud800"',
        "1e999",
        "-1e999",
        "NaN",
        "9" * 400,
        "[" * 100_000 + "]" * 100_000,
        '{"a": 1, "a": 2}',
        "{}",
        "[[]]",
        "null",
    ],
    ids=["surrogate", "1e999", "-1e999", "NaN", "400 digits", "nested", "twice", "mapping", "list", "null"],
)
@pytest.mark.parametrize("field", ["name", "provenance"])
def test_values_that_json_should_not_hold(attempt, bundle, text, field):
    path = bundle / "manifest.json"
    document = json.loads(path.read_text())
    document[field] = "@@"
    path.write_text(json.dumps(document).replace('"@@"', text))
    for more in ((), ("--json",)):
        outcome = attempt("bundle", "inspect", bundle, *more)
        assert outcome.code in (0, 2)
        if text in ('"\\ud800"', "1e999", "-1e999", "NaN", "9" * 400) or "[[[" in text or '"a": 2' in text:
            assert outcome.code == 2, text[:30]


HOSTILE = "\x1b]0;t\x07\x1b[31m[/x][bold]\u202e"


@pytest.mark.parametrize("command", [("bundle", "inspect"), ("bundle", "verify"), ("verify",), ("lint",)])
def test_names_command_no_terminal(attempt, change, command):
    def edit(manifest):
        manifest["name"] = manifest["created"] = manifest["board"] = manifest["edgekit"] = HOSTILE
        manifest["provenance"] |= {"licence": HOSTILE, "attribution": HOSTILE, "split": HOSTILE}
        manifest["parity"] = [
            {"step": HOSTILE, "task": HOSTILE, "metric": HOSTILE, "value": 1, "limit": 1, "holds": True}
        ]
        manifest["metrics"] = {HOSTILE: {"semantic": {"miou": 1}}}

    bundle = change(edit)
    (bundle / f"stray{HOSTILE.replace('/', '')}").write_text("")
    more = ("--board", "orin-nano-8gb") if command == ("lint",) else ON if command == ("verify",) else ()
    outcome = attempt(*command, bundle, *more)
    assert outcome.code in (0, 2) and not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e]", outcome.out + outcome.err)
    if command[0] == "bundle":
        assert "[bold]" in outcome.out


@pytest.mark.parametrize("damage", ["inside", "version", "pickle", "missing", "shape", "text"])
def test_a_damaged_golden_file(refused, change, bundle, damage):
    path = bundle / "golden.npz"
    content = bytearray(path.read_bytes())
    if damage == "inside":
        content[len(content) // 3 : len(content) // 3 + 40] = bytes(40)
        content = bytes(content)
    elif damage == "version":
        at = content.find(b"PK\x03\x04")
        while at >= 0:
            content[at + 4 : at + 6] = b"\xff\x00"
            at = content.find(b"PK\x03\x04", at + 1)
        at = content.find(b"PK\x01\x02")
        while at >= 0:
            content[at + 6 : at + 8] = b"\xff\x00"
            at = content.find(b"PK\x01\x02", at + 1)
        content = bytes(content)
    else:
        with np.load(path) as file:
            arrays = dict(file)
        if damage == "pickle":
            arrays["frames"] = np.array([{}], object)
        elif damage == "missing":
            del arrays["frames"]
        elif damage == "shape":
            arrays["depth_depth"] = arrays["depth_depth"][..., :3]
        else:
            arrays["semantic_classes"] = np.array(["a", "b"])
        np.savez(path, **arrays)
        content = path.read_bytes()
    path.write_bytes(content)
    refused("verify", change(), "--precision", "fp32", *ON)


def member(name: str, **fields) -> tarfile.TarInfo:
    about = tarfile.TarInfo(name)
    for key, value in fields.items():
        setattr(about, key, value)
    return about


@pytest.mark.parametrize(
    "how", ["sparse", "pax digits", "pax size", "link", "hard link", "device", "outside", "absolute", "twice"]
)
def test_archives_that_hold_more_or_lead_elsewhere(refused, made, tmp_path, how):
    path = tmp_path / "b.tar"

    def make(box, outside):
        pack(made.bundle, path)
        if how == "sparse":
            big = box / "big"
            with open(big, "wb") as file:
                file.truncate(30 << 30)
            _add_sparse(path, "fp32.onnx", 30 << 30)
            return command("bundle", "verify", path)
        form = tarfile.PAX_FORMAT if how.startswith("pax") else tarfile.USTAR_FORMAT
        with tarfile.open(path, "a", format=form) as tar:
            if how == "pax digits":
                tar.addfile(member("x", pax_headers={"size": "9" * 200_000}))
            elif how == "pax size":
                tar.addfile(member("x", pax_headers={"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "size": "-1"}))
            elif how in ("link", "hard link"):
                kind = tarfile.SYMTYPE if how == "link" else tarfile.LNKTYPE
                tar.addfile(member("x", type=kind, linkname=str(outside / "canary.txt")))
            elif how == "device":
                tar.addfile(member("x", type=tarfile.CHRTYPE, devmajor=1, devminor=5))
            elif how == "twice":
                tar.addfile(member("fp32.onnx", size=3), io.BytesIO(b"abc"))
            else:
                name = "../outside/new" if how == "outside" else str(outside / "new")
                tar.addfile(member(name, size=3), io.BytesIO(b"abc"))
        return command("bundle", "verify", path)

    refused(make, says="archive")


def _add_sparse(path: Path, name: str, size: int) -> None:
    """An old GNU sparse member of ``size`` bytes without any data."""
    block = bytearray(512)
    block[0 : len(name)] = name.encode()
    block[100:108], block[108:116], block[116:124] = b"0000644\0", b"0000000\0", b"0000000\0"
    block[124:136], block[136:148] = b"00000000000\0", b"00000000000\0"
    block[156:157], block[257:265] = b"S", b"ustar  \0"
    block[386:398], block[398:410] = b"00000000000\0", b"00000000000\0"
    block[483:495] = b"\x80" + size.to_bytes(11, "big")
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    content = path.read_bytes()
    end = content.rstrip(b"\0")
    whole = -(-len(end) // 512) * 512
    path.write_bytes(content[:whole] + bytes(block) + bytes(1024))

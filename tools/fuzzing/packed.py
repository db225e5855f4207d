"""Mutators of containers: PNG chunks, npz members and array headers, tar members, students, films."""

from __future__ import annotations

import contextlib
import io
import random
import struct
import tarfile
import zipfile
import zlib
from pathlib import Path

import numpy as np

from tools.fuzzing.mutate import NAMES, mutate_bytes, mutate_tree

LARGE = [0, 1, 2, 65_535, 13_000, 20_000, 100_000, 2**31 - 1, 2**31, 2**32 - 1]


def mutate_png(rng: random.Random, content: bytes) -> bytes:
    """Chunks removed, doubled, emptied or with another size in the header; checksums right, unless they are mutated."""
    chunks, at = [], 8
    while at < len(content):
        (size,) = struct.unpack_from(">I", content, at)
        chunks.append((content[at + 4 : at + 8], content[at + 8 : at + 8 + size]))
        at += 12 + size
    for _ in range(rng.choice([1, 1, 2, 3])):
        place, how = rng.randrange(len(chunks)), rng.randrange(8)
        kind, data = chunks[place]
        if how == 0:
            width, height = (rng.choice([48, 32, *LARGE]) for _ in range(2))
            depth, colour = rng.choice([1, 8, 16, 3]), rng.choice([0, 2, 3, 4, 6, 9])
            chunks[0] = (b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, rng.choice([0, 1])))
        elif how == 1 and len(chunks) > 1:
            del chunks[place]
        elif how == 2:
            chunks.insert(place, (kind, data))
        elif how == 3:
            chunks[place] = (kind, mutate_bytes(rng, data))
        elif how == 4:
            chunks[place] = (kind, b"")
        elif how == 5:
            name = rng.choice(
                [b"iCCP", b"tEXt", b"zTXt", b"iTXt", b"eXIf", b"acTL", b"fcTL", b"tRNS", b"PLTE", b"sRGB"]
            )
            bomb = zlib.compress(bytes(1 << 26))
            body = rng.choice([b"", b"x", b"\0", b"x\0\0" + bomb, b"x\0\0", b"\0" * 40, rng.randbytes(30)])
            chunks.insert(rng.choice([1, place]), (name, body))
        elif how == 6:
            chunks[place] = (rng.choice([b"IDAT", b"IEND", b"\x1b[3m", b"\0\0\0\0"]), data)
        else:
            chunks = [(k, zlib.compress(bytes(1 << 22)) if k == b"IDAT" else d) for k, d in chunks]
    out = b"".join(struct.pack(">I", len(d)) + k + d + struct.pack(">I", zlib.crc32(k + d)) for k, d in chunks)
    whole = content[:8] + out
    return mutate_bytes(rng, whole) if rng.random() < 0.15 else whole


def mutate_npz(rng: random.Random, content: bytes) -> bytes:
    """Members renamed, missing, of another type, shape, order or length; or the zip itself damaged."""
    if rng.random() < 0.25:
        return mutate_bytes(rng, content)
    with zipfile.ZipFile(io.BytesIO(content)) as file:
        members = {name: file.read(name) for name in file.namelist()}
    name, how = rng.choice(list(members)), rng.randrange(9)
    array = np.load(io.BytesIO(members[name]))
    if how == 0:
        members[name] = _npy(
            rng.choice(
                [
                    array.astype(rng.choice(["f2", "f8", "i8", "u1", "?", "c8", "S3", "U2", "M8[s]"])),
                    array[..., None],
                    array.ravel(),
                    array[:0],
                    np.array(3),
                    array.T.copy(),
                ]
            )
        )
    elif how == 1:
        data, kind = array.astype(np.float32).copy(), rng.choice([np.nan, np.inf, -np.inf, 1e38, -1, 300])
        data.reshape(-1)[:: rng.choice([1, 7])] = kind
        members[name] = _npy(data)
    elif how == 2:
        del members[name]
    elif how == 3:
        members[rng.choice(NAMES).encode("utf-8", "replace").decode()[:60_000] + ".npy"] = members.pop(name)
    elif how == 4:
        shape = rng.choice(
            ["(10**15,)", "(1000000, 1000000, 3)", "(-1,)", "(2**70,)", "()", "(True,)", "(" * 500 + ")" * 500]
        )
        descr = rng.choice(["'<f4'", "'|O'", "'|V10000000'", "[('a', '<f4')]", "'<f4', " + "[" * 300, "'x'"])
        members[name] = _header(f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}") + bytes(64)
    elif how == 5:
        members[name] = mutate_bytes(rng, members[name])
    elif how == 6:
        members[name] = _header("{'descr': '|u1', 'fortran_order': False, 'shape': (100000000,), }") + bytes(
            100_000_000
        )
    elif how == 7:
        members[name] = b"\x93NUMPY\x03\0\xff\xff\xff\x7f" + bytes(64)
    else:
        members["frames.npy" if how else name] = _npy(np.zeros((1, 2), object)) if rng.random() < 0.5 else b""
    out = io.BytesIO()
    kind = (
        zipfile.ZIP_DEFLATED if how == 6 else rng.choice([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2])
    )
    with zipfile.ZipFile(out, "w", kind) as file:
        for member, data in members.items():
            file.writestr(member, data)
    return out.getvalue()


def _npy(array: np.ndarray) -> bytes:
    out = io.BytesIO()
    np.lib.format.write_array(out, np.asarray(array), allow_pickle=True)
    return out.getvalue()


def _header(text: str) -> bytes:
    body = text.encode() + b"\n"
    return b"\x93NUMPY\x02\0" + struct.pack("<I", len(body)) + body


def mutate_tar(rng: random.Random, content: bytes) -> bytes:
    """A header's field changed, its checksum right again; or bytes of the archive."""
    data = bytearray(content)
    if rng.random() < 0.3:
        return mutate_bytes(rng, content)
    at, starts = 0, []
    while at + 512 <= len(data) and data[at]:
        starts.append(at)
        at += 512 + -(-int(data[at + 124 : at + 135], 8) // 512) * 512
    at = rng.choice(starts)
    place, size = rng.choice([(0, 100), (100, 8), (124, 12), (136, 12), (156, 1), (157, 100), (257, 6), (345, 155)])
    name = rng.choice(NAMES).encode("utf-8", "replace")
    value = rng.choice(
        [
            name,
            b"77777777777",
            b"\x80" + b"\xff" * 11,
            b"\xff" * 12,
            b"0",
            b"1",
            b"2",
            b"3",
            b"5",
            b"6",
            b"S",
            b"x",
            b"g",
            b"L",
            b"K",
            b"\0",
            rng.randbytes(size),
        ]
    )
    data[at + place : at + place + size] = value[:size].ljust(size, b"\0")
    data[at + 148 : at + 156] = b" " * 8
    data[at + 148 : at + 156] = b"%06o\0 " % sum(data[at : at + 512])
    return bytes(data)


def write_tar(rng: random.Random, bundle: Path, archive: Path, outside: Path) -> None:
    """The bundle's members among others: links, devices, names that lead outside, pax headers."""
    names = [*NAMES, f"../../{outside.name}/new", str(outside / "new"), "manifest.json/x", "./fp32.onnx", "b/../../x"]
    form = rng.choice([tarfile.USTAR_FORMAT, tarfile.PAX_FORMAT, tarfile.GNU_FORMAT])
    with tarfile.open(archive, "w", format=form) as tar:
        for path in sorted(bundle.iterdir()):
            if rng.random() < 0.05:
                continue
            with contextlib.suppress(ValueError):  # too long a name for this form
                tar.add(path, rng.choice([path.name] * 30 + [rng.choice(names).encode("utf-8", "replace").decode()]))
        for _ in range(rng.choice([0, 1, 1, 2])):
            member = tarfile.TarInfo(rng.choice(names).encode("utf-8", "replace").decode() or "x")
            member.type = rng.choice(
                [
                    tarfile.SYMTYPE,
                    tarfile.LNKTYPE,
                    tarfile.CHRTYPE,
                    tarfile.FIFOTYPE,
                    tarfile.DIRTYPE,
                    tarfile.REGTYPE,
                    tarfile.GNUTYPE_SPARSE,
                    tarfile.CONTTYPE,
                ]
            )
            member.linkname = rng.choice(
                [str(outside / "canary.txt"), "../outside/canary.txt", "fp32.onnx", "/dev/zero"]
            )
            if form == tarfile.PAX_FORMAT:
                key = rng.choice(
                    ["size", "path", "GNU.sparse.size", "GNU.sparse.major", "mtime", "uid", "linkpath", "x"]
                )
                member.pax_headers = {key: rng.choice(["9" * 200_000, "-1", "1e9", "../x", "0", str(2**62), "\u0661"])}
            try:
                tar.addfile(member)
            except (ValueError, OverflowError, UnicodeError):
                continue


def mutate_student(rng: random.Random, content: bytes, outside: Path) -> bytes:
    """The checkpoint's description or tensors changed, or the file damaged."""
    import torch

    if rng.random() < 0.2:
        return mutate_bytes(rng, content)
    file = torch.load(io.BytesIO(content), weights_only=True)
    how = rng.random()
    if how < 0.6:
        about = {"format": file["format"], "spec": file["spec"]}
        changed = _plain(mutate_tree(rng, about))
        file = file | changed if isinstance(changed, dict) else changed
    elif how < 0.7:
        file["spec"]["tasks"][0]["name"] = rng.choice([str(outside / "x"), f"../{outside.name}/x", *NAMES])
    elif how < 0.75:
        file["spec"]["width"] = rng.choice([8192, 2**20, 0, -4, 5, 128, 10**12])
    else:
        name = rng.choice(list(file["state"]))
        tensor = file["state"][name]
        value = rng.choice(
            [
                torch.zeros(1).expand(10**11),
                tensor * float("nan"),
                tensor.half(),
                tensor.int(),
                tensor[None],
                None,
                "x",
                torch.zeros(3),
                tensor.double(),
                tensor.to(torch.complex64),
                torch.zeros(2, 2).to_sparse(),
                tensor * 1e38,
            ]
        )
        if rng.random() < 0.2:
            del file["state"][name]
        else:
            file["state"][rng.choice([name, name, name, "extra", rng.choice(NAMES)])] = value
    out = io.BytesIO()
    torch.save(file, out)
    whole = out.getvalue()
    return deflated(whole) if rng.random() < 0.1 else whole


def deflated(content: bytes) -> bytes:
    """The same zip, compressed, with one member of many zeros."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            data = old.read(name)
            new.writestr(name, bytes(100_000_000) if name.endswith("/data/0") else data)
    return out.getvalue()


def _plain(tree) -> dict:
    from tools.fuzzing.mutate import RAW

    if isinstance(tree, dict):
        return {k: _plain(v) for k, v in tree.items()}
    if isinstance(tree, list):
        return [_plain(v) for v in tree]
    return float("inf") if isinstance(tree, str) and tree.startswith(RAW) else tree


def film(rng: random.Random, outside: Path) -> bytes:
    """What is no film, under a film's name."""
    canary = outside / "canary.txt"
    texts = [
        f"ffconcat version 1.0\nfile '{canary}'\n",
        f"#EXTM3U\n#EXTINF:1,\nfile://{canary}\n",
        "GIF89a" + "\0" * 50,
        f"<?xml version='1.0'?><MPD><BaseURL>file://{canary}</BaseURL></MPD>",
        "RIFF\xff\xff\xff\xffAVI LIST",
        "\0\0\0\x18ftypmp42\0\0\0\0mp42isom" + "\0" * 100,
        "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\n",
        "x" * 100,
        "",
    ]
    content = rng.choice(texts).encode("latin-1")
    return mutate_bytes(rng, content) if rng.random() < 0.4 else content

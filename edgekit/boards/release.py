"""Which L4T and JetPack a machine runs, from the files and package lists it has."""

from __future__ import annotations

import re

# "# R36 (release), REVISION: 4.3, GCID: …"
_RELEASE = re.compile(r"#?\s*R(\d{1,3})\s*\(release\),\s*REVISION:\s*(\d{1,3}(?:\.\d{1,3}){0,2})\s*(?:,|$)", re.ASCII)
_PACKAGE = r"^\s*(?:ii\s+)?{name}\s+(\d{{1,3}}(?:\.\d{{1,3}}){{1,3}})(?=[-+~\s]|$)"


def parse_l4t_release(text: str) -> str | None:
    """``/etc/nv_tegra_release`` → "36.4.3"; None for anything else, or a line cut off before its revision ends.

    >>> parse_l4t_release("# R36 (release), REVISION: 4.3, GCID: 38968081, BOARD: generic, EABI: aarch64")
    '36.4.3'
    """
    first = text.lstrip().partition("\n")[0].rstrip()
    found = _RELEASE.match(first)
    return f"{found[1]}.{found[2]}" if found else None


def package_version(name: str, text: str) -> str | None:
    """What ``dpkg-query --show NAME`` printed → the version; None where the package is not installed.

    >>> package_version("nvidia-l4t-core", "nvidia-l4t-core  36.4.3-20250107174145")
    '36.4.3'
    """
    found = re.search(_PACKAGE.format(name=re.escape(name)), text, re.MULTILINE | re.ASCII)
    return found[1] if found else None

"""What ``nvpmodel -q`` says."""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class PowerMode:
    """``id`` is what ``nvpmodel -m`` takes, ``fan`` the fan's profile; None where they were not printed."""

    name: str
    id: int | None = None
    fan: str | None = None


_NAME = re.compile(r"NV Power Mode:[ \t]*([^\s:][^\r\n]*?)[ \t\r]*$", re.MULTILINE)
_FAN = re.compile(r"NV Fan Mode:[ \t]*(\S+)")
_ID = re.compile(r"\d{1,3}", re.ASCII)


def parse_power_mode(text: str) -> PowerMode | None:
    """From the output of ``nvpmodel -q``, plain or verbose; None where no power mode is named (not set, no rights).

    >>> parse_power_mode("NV Fan Mode:quiet\\nNV Power Mode: MAXN\\n0\\n")
    PowerMode(name='MAXN', id=0, fan='quiet')
    """
    found = _NAME.search(text)
    if not found:
        return None
    following = text[found.end() :].split()
    number = following[0] if following and _ID.fullmatch(following[0]) else None
    fan = _FAN.search(text)
    return PowerMode(found[1], int(number) if number else None, fan[1] if fan else None)

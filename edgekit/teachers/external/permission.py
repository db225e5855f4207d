"""Whether a recipe may lead to code: only if the command line (or the environment) says so."""

from __future__ import annotations

import os

VARIABLE = "EDGEKIT_ALLOW_CODE"
"""Set to 1 by --allow-code for the command and the processes it starts."""


def code_is_allowed() -> bool:
    return os.environ.get(VARIABLE, "") not in ("", "0")

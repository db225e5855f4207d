"""Rendering into a cache that cannot be written says so, and nothing of memory."""

from __future__ import annotations

import pytest

from edgekit.data.scenes.config import ScenesConfig
from edgekit.data.scenes.source import Scenes
from edgekit.errors import EdgekitError


@pytest.mark.parametrize("rendered", ["before", "when asked for"])
def test_a_denied_cache_is_said(tmp_path, rendered):
    (tmp_path / "file").write_text("")
    source = Scenes(ScenesConfig(), tmp_path, tmp_path / "file" / "cache")
    frame = source.frames("train")[0]
    with pytest.raises(EdgekitError, match="the cache cannot be written") as caught:
        source.prepare() if rendered == "before" else source.read(frame, ["rgb"])
    assert "EDGEKIT_CACHE" in caught.value.fix and "memory" not in caught.value.fix

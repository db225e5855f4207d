"""Which type a forward pass runs in."""

from __future__ import annotations

import pytest
import torch

from edgekit.training import precision
from edgekit.training.precision import autocast, resolve


@pytest.fixture(autouse=True)
def fresh():
    resolve.cache_clear()
    yield
    resolve.cache_clear()


@pytest.mark.parametrize("device", ["cpu", "cuda"])
@pytest.mark.parametrize(
    ("name", "dtype"), [("fp32", torch.float32), ("bf16", torch.bfloat16), ("fp16", torch.float16)]
)
def test_a_named_precision_is_taken_at_its_word(name, dtype, device):
    assert resolve(name, device) == dtype


@pytest.mark.parametrize("native", [True, False])
def test_auto_is_bf16_where_it_is_native(monkeypatch, native):
    monkeypatch.setattr(precision, "_cpu_has_bf16", lambda: native)
    assert resolve("auto", "cpu") == (torch.bfloat16 if native else torch.float32)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: native)
    assert resolve("auto", "cuda") == (torch.bfloat16 if native else torch.float16)


@pytest.mark.parametrize(("name", "dtype"), [("fp32", torch.float32), ("bf16", torch.bfloat16)])
def test_autocast_runs_convolutions_in_it(name, dtype):
    layer = torch.nn.Conv2d(1, 1, 1)
    with autocast(name, "cpu"):
        assert layer(torch.zeros(1, 1, 2, 2)).dtype == dtype


def test_the_cpu_s_own_answer_is_a_bool():
    assert isinstance(precision._cpu_has_bf16(), bool)

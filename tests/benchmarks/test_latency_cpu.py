"""The latency benchmark's own parts: its peers' processes, its ratios, and what it says of them."""

from __future__ import annotations

import sys

import numpy as np
import pytest

import edgekit


@pytest.fixture
def latency(benchmark_module):
    return benchmark_module("latency_cpu")


@pytest.fixture
def peer(latency, tiny_bundle, tmp_path):
    frames = np.random.default_rng(0).integers(0, 256, (3, 50, 80, 3), dtype=np.uint8)
    np.save(tmp_path / "frames.npy", frames)
    job = {"bundle": str(tiny_bundle), "precision": "fp32", "task": "semantic", "threads": 1}
    return latency.Peer("kit", "", "edgekit", {"peer": "edgekit", "frames": str(tmp_path / "frames.npy"), **job})


def test_a_peer_answers_and_is_timed(latency, peer, tiny_bundle, tmp_path):
    worker = latency.Worker(peer, sys.executable, tmp_path)
    worker.run(4)
    worker.run(2)
    worker.close()
    assert peer.trouble is None and peer.version.startswith("onnxruntime")
    assert [len(taken) for taken in peer.rounds] == [4, 2] and min(peer.ms) > 0
    with edgekit.load(tiny_bundle, precision="fp32", threads=1) as predictor:
        for frame, found in zip(np.load(tmp_path / "frames.npy"), peer.answers, strict=True):
            np.testing.assert_array_equal(found, predictor.infer(frame)["semantic"])


def test_a_peer_that_cannot_run_says_why(latency, peer, tmp_path):
    peer.job["bundle"] = str(tmp_path / "none")
    worker = latency.Worker(peer, sys.executable, tmp_path)
    worker.close()
    assert "fix" in peer.trouble and peer.rounds == []


def peers(latency, **rounds):
    found = []
    for name, taken in rounds.items():
        peer = latency.Peer(name.replace("_", " "), "", "", {})
        peer.rounds = taken
        found.append(peer)
    return found


def test_a_machine_that_slows_down_leaves_the_ratio(latency):
    # The second round took twice as long for everyone.
    ours, theirs = peers(latency, ours=[[1.0, 1.2, 1.1], [2.2, 2.0, 9.0]], theirs=[[3.3, 3.4, 3.2], [6.6, 6.7, 6.5]])
    assert latency.ratio(theirs, ours) == pytest.approx(3.0)
    assert latency.ratio(ours, ours) == 1.0


def test_goals_winners_and_the_missing_are_named(latency):
    once = {"ours": 10.0, "plain": 29.0, "static": 15.0, "OpenVINO_fp32": 50.0, "OpenVINO_int8": 8.0, "near": 10.1}
    found = peers(latency, **{name: [[ms]] for name, ms in once.items()})
    found[1].name, found[2].name = latency.FASTER
    found.append(latency.Peer("torch eager", "", "torch", {}, trouble="no torch"))
    assert latency.verdicts({2: found}) == [
        "- **does not hold**, 2 threads: at least 3× as fast as torch.onnx.export fp32 (2.90×)",
        "- holds, 2 threads: at least 1× as fast as quantize_static (1.50×)",
        "- 2 threads: OpenVINO int8 is faster than edgekit int8, 1.25×",
        "- 2 threads: near and edgekit int8 are level",
        "- could not run, 2 threads: torch eager: no torch",
    ]

"""The ensemble equals a loop over its members, written with plain calls."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from edgekit.tasks import Task
from edgekit.teachers.config import EnsembleConfig, MaskingConfig
from edgekit.teachers.ensemble import Ensemble, Member, members_of

SIZE = (13, 17)
LOG_RANGE = np.log(300 / 2)
ALL = (True, True, True, True)


def flipped(x: torch.Tensor, kind: str, member: Member) -> torch.Tensor:
    """Mirrored left-right and top-bottom as the member wants; normals and displacements with their x and y."""
    x = x.clone()
    for wanted, axis, component in ((member.mirror_x, -1, 0), (member.mirror_y, -2, 1)):
        if wanted:
            x = x.flip(axis)
            if kind in ("normals", "vector"):
                x[:, component] = -x[:, component]
    return x


def zoomed(x: torch.Tensor, kind: str, factor: float) -> torch.Tensor:
    if factor == 1:
        return x
    if kind == "vector":
        return factor * x
    if kind == "depth":
        return (x - np.log(factor) / LOG_RANGE).clamp(0, 1)
    if kind == "normals":
        x = torch.cat([x[:, :2], factor * x[:, 2:]], dim=1)
        return x / x.norm(dim=1, keepdim=True)
    return x


def read_out(raw: torch.Tensor, stride: int, seen, size) -> torch.Tensor:
    """The raw map at ``size``: pixel i is about the frame from i·stride on, also beyond its end."""
    rows, columns = (
        torch.tensor(
            np.stack([np.interp((np.arange(t) + 0.5) * s / t, (np.arange(n) + 0.5) * stride, one) for one in np.eye(n)])
        ).float()
        for t, s, n in zip(size, seen, raw.shape[-2:], strict=True)
    )
    return rows.T @ raw @ columns


@torch.no_grad()
def ask(networks, member: Member, inputs, modalities, tasks, size) -> dict[str, torch.Tensor]:
    """One member's soft word on the frame as it is."""
    network = networks[member.network]
    parts = []
    for task, seen in zip(modalities, member.visible, strict=True):
        kind = "vector" if task.vector else task.kind
        x = zoomed(flipped(inputs[task.name], kind, member), kind, member.scale)
        mean = torch.tensor([0.1 * c + 0.3 for c in range(x.shape[1])])[:, None, None]
        std = torch.tensor([0.5 + 0.1 * c for c in range(x.shape[1])])[:, None, None]
        parts.append(((x - mean) / std).nan_to_num(nan=0.0) * seen)
    x = torch.cat(parts, dim=1)
    if member.scale != 1:
        target = [round(s * member.scale) for s in x.shape[-2:]]
        x = F.interpolate(x, size=target, mode="bilinear", antialias=member.scale < 1)
    x = torch.cat([x, torch.zeros(x.shape[0], 8, *x.shape[2:])], dim=1)
    raw = network.network(x)
    out, start = {}, sum(inputs[task.name].shape[1] for task in modalities)
    for task in tasks:
        channels = {"semantic": 3, "normals": 3}.get(task.kind, 1)
        y = read_out(raw[:, start : start + channels], network.network.stride, x.shape[-2:], size)
        start += channels
        if task.kind == "semantic":
            y = y.softmax(1)
        elif task.kind == "binary":
            y = y.sigmoid()
        elif task.kind == "depth":
            y = y.clamp(0, 1)
        else:
            y = y / y.norm(dim=1, keepdim=True)
        out[task.name] = flipped(zoomed(y, task.kind, 1 / member.scale), task.kind, member)
    return out


def brute_force(networks, members, inputs, modalities, tasks, size):
    """All members' words at once, then mean and disagreement in numpy."""
    words = [ask(networks, m, inputs, modalities, tasks, size) for m in members]
    out = {}
    for task in tasks:
        stack = np.stack([w[task.name].numpy().astype(np.float64) for w in words])
        mean = stack.mean(0)
        if task.kind == "semantic":
            disagreement = (stack.argmax(2) != mean.argmax(1)).mean(0)
        elif task.kind == "normals":
            length = np.linalg.norm(mean, axis=1)
            mean, disagreement = mean / length[:, None], 1 - length
        else:
            disagreement = 2 * stack.std(0).mean(1)
        out[task.name] = mean, disagreement
    return out


def check(networks, members, inputs, modalities, tasks, size=SIZE, tolerance=2e-5):
    found = Ensemble(networks, members, precision="fp32").predict(inputs, size)
    expected = brute_force(networks, members, inputs, modalities, tasks, size)
    assert found.keys() == expected.keys()
    for name, (mean, disagreement) in expected.items():
        assert found[name].soft.shape[-2:] == found[name].disagreement.shape[-2:] == size
        np.testing.assert_allclose(found[name].soft.numpy(), mean, atol=tolerance, err_msg=name)
        np.testing.assert_allclose(found[name].disagreement.numpy(), disagreement, atol=10 * tolerance, err_msg=name)
    return found


@pytest.mark.parametrize(
    "member",
    [
        Member(0, ALL),
        Member(1, (True, False, True, False)),
        Member(0, ALL, mirror_x=True),
        Member(0, ALL, mirror_y=True),
        Member(0, (False, True, True, True), mirror_x=True, mirror_y=True),
        Member(0, ALL, scale=0.75),
        Member(0, ALL, scale=1.6, mirror_x=True),
    ],
    ids=str,
)
def test_a_single_member(make_network, make_inputs, modalities, tasks, member):
    networks = [make_network(0), make_network(1, "safeuav")]
    found = check(networks, [member], make_inputs(size=(30, 41)), modalities, tasks)
    for prediction in found.values():
        np.testing.assert_allclose(prediction.disagreement.numpy(), 0, atol=1e-6)


def test_everything_at_once(make_network, make_inputs, modalities, tasks):
    networks = [make_network(0), make_network(1), make_network(2, "safeuav")]
    config = EnsembleConfig(maskings=3, flips=True, vertical_flips=True, scales=[1.0, 0.7])
    members = members_of(config, 3, [m.name for m in modalities], MaskingConfig())
    assert len(members) == len(set(members)) == 3 * 3 * 2 * 2 * 2
    found = check(networks, members, make_inputs(), modalities, tasks)
    assert all(p.disagreement.min() >= 0 and p.disagreement.max() <= 1 for p in found.values())
    assert all(p.disagreement.max() > 1e-3 and p.soft.std() > 1e-2 for p in found.values())
    np.testing.assert_allclose(found["classes"].soft.sum(1).numpy(), 1, atol=1e-5)
    np.testing.assert_allclose(found["normals"].soft.norm(dim=1).numpy(), 1, atol=1e-5)


def test_scaled_depth_stays_in_its_range(make_network, make_inputs, modalities, tasks):
    members = [Member(0, ALL, scale=s) for s in (0.5, 2.0)]
    found = check([make_network()], members, make_inputs(), modalities, tasks)
    assert found["depth"].soft.min() >= 0 and found["depth"].soft.max() <= 1


@pytest.mark.parametrize("size", [(8, 12), (32, 48), (5, 50)], ids=str)
def test_the_size_is_what_was_asked_for(make_network, make_inputs, modalities, tasks, size):
    check([make_network()], [Member(0, ALL), Member(0, ALL, True)], make_inputs(), modalities, tasks, size)


@pytest.mark.parametrize("at_once", [1, 2, 5, 100])
def test_how_many_passes_share_a_batch_does_not_matter(make_network, make_inputs, modalities, tasks, at_once):
    names = [m.name for m in modalities]
    members = members_of(EnsembleConfig(maskings=7, scales=[1.0]), 2, names, MaskingConfig())
    networks = [make_network(0), make_network(1)]
    batches = []
    for network in networks:
        network.register_forward_hook(lambda module, args, out: batches.append(args[0].shape[0]))
    usual = Ensemble(networks, members, precision="fp32").predict(make_inputs(), SIZE)
    batches.clear()
    other = Ensemble(networks, members, precision="fp32", at_once=at_once).predict(make_inputs(), SIZE)
    assert sum(batches) == 2 * len(members) and max(batches) <= 2 * at_once
    for name in usual:
        torch.testing.assert_close(usual[name].soft, other[name].soft, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(usual[name].disagreement, other[name].disagreement, rtol=1e-3, atol=1e-4)


def test_members_in_any_order(make_network, make_inputs, modalities, tasks):
    names = [m.name for m in modalities]
    members = members_of(EnsembleConfig(maskings=4, scales=[1.0]), 1, names, MaskingConfig())
    shuffled = [members[i] for i in np.random.default_rng(0).permutation(len(members))]
    networks = [make_network()]
    one, other = (Ensemble(networks, m, precision="fp32").predict(make_inputs(), SIZE) for m in (members, shuffled))
    for name in one:
        torch.testing.assert_close(one[name].soft, other[name].soft, rtol=1e-4, atol=1e-5)


def test_a_displacement_is_mirrored_and_resized_with_the_frame(make_network, modalities, tasks):
    seen = [modalities[0], Task("flow", "modality", channels=2, range=(-1.0, 1.0), vector=True)]
    random = torch.Generator().manual_seed(0)
    inputs = {t.name: torch.rand(2, t.channels, 16, 24, generator=random) for t in seen}
    both = (True, True)
    members = [Member(0, both, mirror_x=True), Member(0, both, mirror_y=True), Member(0, both, scale=0.75)]
    check([make_network(modalities=seen)], members, inputs, seen, tasks)


def test_the_mirrored_frame_has_the_mirrored_prediction(make_network, make_inputs, modalities, tasks):
    """An ensemble that asks both ways does not know left from right."""
    both = Ensemble([make_network()], [Member(0, ALL), Member(0, ALL, mirror_x=True)], precision="fp32")
    inputs = make_inputs()
    turned = {t.name: flipped(inputs[t.name], t.kind, Member(0, ALL, mirror_x=True)) for t in modalities}
    one, other = both.predict(inputs, (8, 12)), both.predict(turned, (8, 12))
    for task in tasks:
        expected = flipped(one[task.name].soft, task.kind, Member(0, ALL, mirror_x=True))
        torch.testing.assert_close(other[task.name].soft, expected, rtol=1e-3, atol=1e-5)


def test_frames_of_a_batch_do_not_mix(make_network, make_inputs, modalities):
    members = members_of(EnsembleConfig(maskings=3, scales=[1.0]), 1, [m.name for m in modalities], MaskingConfig())
    ensemble = Ensemble([make_network()], members, precision="fp32")
    inputs = make_inputs(n=3)
    together = ensemble.predict(inputs, SIZE)
    alone = ensemble.predict({n: x[1:2] for n, x in inputs.items()}, SIZE)
    for name in together:
        torch.testing.assert_close(together[name].soft[1:2], alone[name].soft, rtol=1e-4, atol=1e-5)


def test_logits_are_averaged_where_the_recipe_says_so(make_network, make_inputs, modalities, tasks):
    networks, inputs = [make_network(0), make_network(1)], make_inputs()
    members = [Member(0, ALL), Member(1, ALL)]
    found = Ensemble(networks, members, average="logit", precision="fp32").predict(inputs, SIZE)
    words = [ask(networks, m, inputs, modalities, tasks, SIZE)["classes"] for m in members]
    geometric = (words[0] * words[1]).sqrt()
    torch.testing.assert_close(found["classes"].soft, geometric / geometric.sum(1, keepdim=True), rtol=1e-3, atol=1e-5)


def test_asking_changes_neither_inputs_nor_networks(make_network, make_inputs, modalities):
    network, inputs = make_network().train(), make_inputs()
    before = {n: x.clone() for n, x in inputs.items()}
    state = {n: x.clone() for n, x in network.state_dict().items()}
    Ensemble([network], [Member(0, ALL, mirror_x=True, scale=0.5)], precision="fp32").predict(inputs, SIZE)
    assert all(torch.equal(inputs[n].nan_to_num(), x.nan_to_num()) for n, x in before.items())
    assert all(torch.equal(network.state_dict()[n], x) for n, x in state.items())


def test_members_of_a_recipe():
    names = ["rgb", "hsv", "edges"]
    found = members_of(EnsembleConfig(maskings=2, flips=False, scales=[1.0]), 2, names, MaskingConfig())
    assert [(m.network, all(m.visible), m.mirror_x, m.scale) for m in found] == [
        (0, True, False, 1.0),
        (0, False, False, 1.0),
        (1, True, False, 1.0),
        (1, False, False, 1.0),
    ]
    assert found[1].visible == found[3].visible
    kept = members_of(EnsembleConfig(maskings=4, scales=[1.0]), 1, names, MaskingConfig(keep=["rgb"]))
    assert len(kept) == 8 and all(m.visible[0] for m in kept)

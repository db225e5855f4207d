"""Every row of HEADS through one tester, then each kind's formulas by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from edgekit.heads import HEADS, Supervision
from edgekit.tasks import KINDS, Task, kind_of

TASKS = {
    "semantic": Task("s", "semantic", classes=("a", "b", "c", "d")),
    "depth": Task("d", "depth", range=(2.0, 200.0), unit="m"),
    "normals": Task("n", "normals"),
    "binary": Task("b", "binary"),
}
RELATIVE = Task("r", "depth")
IGNORE = 255


def raw_output(kind: str, n: int = 2, size: tuple[int, int] = (5, 6), seed: int = 0) -> torch.Tensor:
    rng = np.random.default_rng(seed)
    channels = kind_of(TASKS[kind]).channels(TASKS[kind])
    return torch.from_numpy(rng.normal(0.4, 1.0, (n, channels, *size)).astype(np.float32))


def label_for(kind: str, shape: tuple[int, ...], valid: np.ndarray, seed: int = 1) -> torch.Tensor:
    """A label as batches make it: 255 or NaN where not valid (N, H, W)."""
    rng = np.random.default_rng(seed)
    n, channels, h, w = shape
    if kind == "semantic":
        return torch.from_numpy(np.where(valid, rng.integers(0, channels, (n, h, w)), IGNORE))
    if kind == "binary":
        values = rng.integers(0, 2, (n, 1, h, w)).astype(np.float32)
    elif kind == "normals":
        values = rng.normal(size=(n, 3, h, w)).astype(np.float32)
        values /= np.linalg.norm(values, axis=1, keepdims=True)
    else:
        values = rng.random((n, 1, h, w), dtype=np.float32)
    return torch.from_numpy(np.where(valid[:, None], values, np.nan).astype(np.float32))


def pixel_loss(kind: str, raw: np.ndarray, label: np.ndarray) -> float:
    """The supervised loss of one pixel, by its formula: raw (C,), label (C,) or a class."""
    raw = raw.astype(np.float64)
    if kind == "semantic":
        return math.log(np.exp(raw).sum()) - raw[int(label)]
    if kind == "depth":
        return abs(raw[0] - label[0])
    if kind == "normals":
        return 1 - (raw * label).sum() / np.linalg.norm(raw) / np.linalg.norm(label)
    p = 1 / (1 + math.exp(-raw[0]))
    return -(label[0] * math.log(p) + (1 - label[0]) * math.log(1 - p))


@pytest.fixture(params=[name for name in HEADS if KINDS[name].predictable])
def kind(request: pytest.FixtureRequest) -> str:
    return request.param


def test_this_file_knows_every_head():
    assert set(TASKS) == {name for name in HEADS if KINDS[name].predictable}
    assert set(HEADS) == set(KINDS)


def test_activation_is_what_the_device_does(kind):
    raw = raw_output(kind)
    expected = np.stack([KINDS[kind].activation(TASKS[kind], one) for one in raw.numpy()])
    np.testing.assert_allclose(HEADS[kind].activation(raw).numpy(), expected, atol=1e-6)


def reoriented(kind: str, soft: torch.Tensor, turn=(1.0, 1.0), zoom: float = 1.0) -> torch.Tensor:
    return HEADS[kind].reorient(TASKS[kind], soft, turn, zoom)


@pytest.mark.parametrize("turn", [(1.0, 1.0), (-1.0, 1.0), (1.0, -1.0), (-1.0, -1.0)])
@pytest.mark.parametrize("zoom", [0.5, 1.0, 1.5])
def test_values_turn_and_zoom_as_native_maps_do(kind, turn, zoom):
    soft = HEADS[kind].activation(raw_output(kind, n=1))
    found = reoriented(kind, soft, turn, zoom)[0].permute(1, 2, 0).numpy()
    expected = KINDS[kind].reorient_soft(TASKS[kind], soft[0].permute(1, 2, 0).numpy(), np.diag(turn), zoom)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    np.testing.assert_array_equal(found.shape, (5, 6, soft.shape[1]))


def test_what_a_mirror_does_to_normals_by_hand():
    soft = torch.tensor([0.6, 0.48, -0.64]).reshape(1, 3, 1, 1)
    assert reoriented("normals", soft, (-1.0, 1.0)).flatten().tolist() == pytest.approx([-0.6, 0.48, -0.64])
    assert reoriented("normals", soft, (1.0, -1.0)).flatten().tolist() == pytest.approx([0.6, -0.48, -0.64])


def test_a_displacement_turns_and_grows_and_other_channels_stay():
    flow, plain = Task("f", "modality", channels=3, vector=True), Task("p", "modality", channels=3)
    x = torch.tensor([3.0, 4.0, 5.0]).reshape(1, 3, 1, 1)
    assert HEADS["modality"].reorient(flow, x, (-1.0, 1.0), 2.0).flatten().tolist() == [-6.0, 8.0, 5.0]
    assert HEADS["modality"].reorient(flow, x, (1.0, -1.0), 0.5).flatten().tolist() == [1.5, -2.0, 5.0]
    assert torch.equal(HEADS["modality"].reorient(plain, x, (-1.0, -1.0), 2.0), x)


def test_zoomed_in_and_out_again_is_the_same(kind):
    soft = HEADS[kind].activation(raw_output(kind))
    if kind == "depth":
        soft = 0.25 + 0.5 * soft  # so that nothing leaves the range on the way
    for factor in (0.5, 1.0, 1.7):
        back = reoriented(kind, reoriented(kind, soft, zoom=factor), zoom=1 / factor)
        torch.testing.assert_close(back, soft, rtol=1e-5, atol=1e-6)


def test_relative_depth_keeps_its_scale():
    soft = HEADS["depth"].activation(raw_output("depth"))
    assert torch.equal(HEADS["depth"].reorient(RELATIVE, soft, (1.0, 1.0), 2.0), soft)


def test_depth_in_metres_is_divided_by_the_zoom():
    task = TASKS["depth"]
    soft = torch.from_numpy(KINDS["depth"].encode(task, np.array([[30.0, 150.0]], np.float32))).permute(2, 0, 1)[None]
    metres = KINDS["depth"].decode(task, reoriented("depth", soft, zoom=3.0)[0].numpy())
    np.testing.assert_allclose(metres, [[10.0, 50.0]], rtol=1e-5)


@pytest.mark.parametrize("factor", [0.25, 4.0])
def test_zoomed_depth_stays_in_its_range_and_keeps_its_holes(factor):
    soft = torch.tensor([[[[0.0, 0.5, 1.0, math.nan]]]])
    zoomed = reoriented("depth", soft, zoom=factor)[0, 0, 0]
    assert ((zoomed[:3] >= 0) & (zoomed[:3] <= 1)).all() and zoomed[3].isnan()


def test_supervised_loss_is_the_mean_over_labelled_pixels(kind):
    raw = raw_output(kind)
    valid = np.random.default_rng(2).random((2, 5, 6)) < 0.6
    label = label_for(kind, tuple(raw.shape), valid)
    expected = [
        pixel_loss(kind, raw.numpy()[n, :, y, x], label.numpy()[n, ..., y, x]) for n, y, x in np.argwhere(valid)
    ]
    assert float(HEADS[kind].supervised(raw, label)) == pytest.approx(np.mean(expected), rel=1e-5)


def test_unlabelled_pixels_have_no_say(kind):
    raw = raw_output(kind).requires_grad_()
    valid = np.zeros((2, 5, 6), bool)
    valid[0, :2] = True
    label = label_for(kind, tuple(raw.shape), valid)
    loss = HEADS[kind].supervised(raw, label)
    loss.backward()
    assert torch.equal(raw.grad[0, :, 2:], torch.zeros_like(raw.grad[0, :, 2:])) and not raw.grad[1].any()
    assert raw.grad[0, :, :2].abs().sum() > 0
    changed = raw.detach().clone()
    changed[1] += 3.0
    assert float(HEADS[kind].supervised(changed, label)) == pytest.approx(float(loss.detach()))


@pytest.mark.parametrize("values", ["random", "zero"])
def test_without_labels_the_loss_is_0_and_so_is_its_gradient(kind, values):
    raw = raw_output(kind) if values == "random" else torch.zeros_like(raw_output(kind))
    raw.requires_grad_()
    loss = HEADS[kind].supervised(raw, label_for(kind, tuple(raw.shape), np.zeros((2, 5, 6), bool)))
    loss.backward()
    assert float(loss.detach()) == 0.0
    assert torch.equal(raw.grad, torch.zeros_like(raw))


def test_gradient_is_finite_where_the_network_says_nothing(kind):
    raw = torch.zeros_like(raw_output(kind)).requires_grad_()
    HEADS[kind].supervised(raw, label_for(kind, tuple(raw.shape), np.ones((2, 5, 6), bool))).backward()
    assert torch.isfinite(raw.grad).all()


def test_a_right_answer_costs_nothing(kind):
    if kind in ("semantic", "binary"):
        label = label_for(kind, (1, 4 if kind == "semantic" else 1, 3, 3), np.ones((1, 3, 3), bool))
        one_hot = torch.nn.functional.one_hot(label, 4).permute(0, 3, 1, 2) if kind == "semantic" else label
        raw = 40.0 * (one_hot.float() - 0.5)
    else:
        raw = label = label_for(kind, (1, 3 if kind == "normals" else 1, 3, 3), np.ones((1, 3, 3), bool))
    assert float(HEADS[kind].supervised(raw, label)) == pytest.approx(0.0, abs=1e-6)


def test_class_weights_weigh_the_mean():
    raw = raw_output("semantic")
    valid = np.random.default_rng(5).random((2, 5, 6)) < 0.7
    label = label_for("semantic", tuple(raw.shape), valid)
    weights = np.array([0.5, 3.0, 1.0, 0.0])
    places = np.argwhere(valid)
    losses = [pixel_loss("semantic", raw.numpy()[n, :, y, x], label.numpy()[n, y, x]) for n, y, x in places]
    chosen = weights[label.numpy()[valid]]
    expected = (np.array(losses) * chosen).sum() / chosen.sum()
    loss = HEADS["semantic"].supervised(raw, label, torch.tensor(weights, dtype=torch.float32))
    assert float(loss) == pytest.approx(expected, rel=1e-5)


def test_equal_class_weights_change_nothing():
    raw = raw_output("semantic")
    label = label_for("semantic", tuple(raw.shape), np.ones((2, 5, 6), bool))
    plain = HEADS["semantic"].supervised(raw, label)
    assert float(HEADS["semantic"].supervised(raw, label, torch.full((4,), 2.5))) == pytest.approx(float(plain))


def test_class_weights_without_labels_give_0():
    raw = raw_output("semantic").requires_grad_()
    label = torch.full((2, 5, 6), IGNORE)
    loss = HEADS["semantic"].supervised(raw, label, torch.ones(4))
    loss.backward()
    assert float(loss.detach()) == 0.0 and not raw.grad.any()


def test_agreement_weight_is_0_outside_and_grows_with_agreement(kind):
    agreement = torch.tensor([[[0.0, 0.2, 0.6, 0.9, 1.0]]])
    weight = HEADS[kind].agreement_weight(agreement)[0, 0]
    assert weight[0] == 0.0
    assert (weight[1:] > 0).all() and (weight.diff() > 0).all() and weight[-1] == 1.0


@pytest.mark.parametrize("kind_name", ["depth", "normals"])
def test_regression_weight_is_one_over_one_plus_the_square_of_relative_disagreement(kind_name):
    agreement = np.array([[[0.0, 0.99, 0.98], [0.97, 1.0, 0.0]]], np.float32)
    d = 1 - agreement.astype(np.float64)
    inside = agreement > 0
    expected = inside / (1 + (d / d[inside].mean()) ** 2)
    np.testing.assert_allclose(
        HEADS[kind_name].agreement_weight(torch.from_numpy(agreement)).numpy(), expected, rtol=1e-4
    )


def test_full_agreement_weighs_every_pixel_alike(kind):
    weight = HEADS[kind].agreement_weight(torch.ones(1, 2, 3))
    assert torch.equal(weight, torch.ones(1, 2, 3))
    assert not HEADS[kind].agreement_weight(torch.zeros(1, 2, 3)).any()


def test_supervision_upsamples_to_the_label_and_weighs_by_task_and_class():
    task = TASKS["semantic"]
    raw = raw_output("semantic", size=(3, 4))
    label = label_for("semantic", (2, 4, 9, 16), np.ones((2, 9, 16), bool))
    upsampled = torch.nn.functional.interpolate(raw, size=(9, 16), mode="bilinear", align_corners=False)
    plain = float(HEADS["semantic"].supervised(upsampled, label))
    assert float(Supervision({"s": 2.5})(task, raw, label)) == pytest.approx(2.5 * plain, rel=1e-6)
    classes = [1.0, 2.0, 3.0, 4.0]
    weighted = float(HEADS["semantic"].supervised(upsampled, label, torch.tensor(classes)))
    assert weighted != pytest.approx(plain)
    assert float(Supervision({"s": 0.5}, {"s": classes})(task, raw, label)) == pytest.approx(0.5 * weighted, rel=1e-6)


def test_the_quick_score_of_a_batch_by_hand(kind):
    raw = raw_output(kind)
    valid = np.random.default_rng(4).random((2, 5, 6)) < 0.5
    label = label_for(kind, tuple(raw.shape), valid)
    values = []
    for n, y, x in np.argwhere(valid):
        said, true = raw.numpy()[n, :, y, x].astype(np.float64), label.numpy()[n, ..., y, x]
        if kind == "semantic":
            values.append(said.argmax() == true)
        elif kind == "binary":
            values.append((said[0] > 0) == (true[0] == 1))
        elif kind == "depth":
            values.append(abs(said.clip(0, 1)[0] - true[0]))
        else:
            values.append(math.degrees(math.acos(said @ true / np.linalg.norm(said) / np.linalg.norm(true))))
    name, value = HEADS[kind].score(raw, label)
    assert name and value == pytest.approx(np.mean(values), rel=1e-4)
    nothing = label_for(kind, tuple(raw.shape), np.zeros_like(valid))
    assert math.isnan(HEADS[kind].score(raw, nothing)[1])


def test_supervision_leaves_scores_without_a_labelled_pixel_out():
    supervision = Supervision({"s": 1.0, "d": 1.0})
    for kind, valid in (("semantic", True), ("depth", False)):
        raw = raw_output(kind)
        supervision(TASKS[kind], raw, label_for(kind, tuple(raw.shape), np.full((2, 5, 6), valid)))
    assert list(supervision.scores({})) == ["s accuracy"]

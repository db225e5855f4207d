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


@pytest.fixture(params=HEADS)
def kind(request: pytest.FixtureRequest) -> str:
    return request.param


def test_this_file_knows_every_head():
    assert set(TASKS) == set(HEADS)


def test_soften_is_what_the_device_does(kind):
    raw = raw_output(kind)
    expected = np.stack([KINDS[kind].soften(TASKS[kind], one) for one in raw.numpy()])
    np.testing.assert_allclose(HEADS[kind].soften(raw).numpy(), expected, atol=1e-6)


def test_mirror_is_what_the_device_does(kind):
    soft = HEADS[kind].soften(raw_output(kind))
    np.testing.assert_allclose(
        HEADS[kind].mirror(soft).numpy(), KINDS[kind].mirror_soft(TASKS[kind], soft.numpy()), atol=0
    )


@pytest.mark.parametrize("flip", ["mirror", "mirror_vertical"])
def test_mirrored_twice_is_the_same(kind, flip):
    soft = HEADS[kind].soften(raw_output(kind))
    mirror = getattr(HEADS[kind], flip)
    assert not torch.equal(mirror(soft), soft)
    assert torch.equal(mirror(mirror(soft)), soft)


def test_vertical_mirror_is_the_horizontal_one_of_the_turned_frame(kind):
    """Turning the frame by 90° exchanges the two; a normal's x and y are exchanged with it."""

    def turned(x):
        x = x.transpose(-1, -2)
        return x[:, [1, 0, 2]] if kind == "normals" else x

    soft = HEADS[kind].soften(raw_output(kind))
    assert torch.equal(HEADS[kind].mirror_vertical(soft), turned(HEADS[kind].mirror(turned(soft))))


def test_zoomed_in_and_out_again_is_the_same(kind):
    head, task = HEADS[kind], TASKS[kind]
    soft = head.soften(raw_output(kind))
    if kind == "depth":
        soft = 0.25 + 0.5 * soft  # so that nothing leaves the range on the way
    for factor in (0.5, 1.0, 1.7):
        back = head.zoom(task, head.zoom(task, soft, factor), 1 / factor)
        torch.testing.assert_close(back, soft, rtol=1e-5, atol=1e-6)


def test_zoom_is_what_augmentation_does_to_native_maps(kind):
    task = TASKS[kind]
    soft = HEADS[kind].soften(raw_output(kind, n=1))
    if kind in ("semantic", "binary"):
        assert torch.equal(HEADS[kind].zoom(task, soft, 1.5), soft)
        return
    for factor in (0.5, 1.5):
        native = KINDS[kind].reorient(task, KINDS[kind].decode(task, soft[0].numpy()), np.eye(2), factor)
        expected = KINDS[kind].encode(task, native).transpose(2, 0, 1)
        np.testing.assert_allclose(HEADS[kind].zoom(task, soft, factor)[0].numpy(), expected, atol=1e-5)


def test_relative_depth_keeps_its_scale():
    soft = HEADS["depth"].soften(raw_output("depth"))
    assert torch.equal(HEADS["depth"].zoom(RELATIVE, soft, 2.0), soft)


def test_depth_in_metres_is_divided_by_the_zoom():
    task = TASKS["depth"]
    soft = torch.from_numpy(KINDS["depth"].encode(task, np.array([[30.0, 150.0]], np.float32))).permute(2, 0, 1)[None]
    metres = KINDS["depth"].decode(task, HEADS["depth"].zoom(task, soft, 3.0)[0].numpy())
    np.testing.assert_allclose(metres, [[10.0, 50.0]], rtol=1e-5)


@pytest.mark.parametrize("factor", [0.25, 4.0])
def test_zoomed_depth_stays_in_its_range_and_keeps_its_holes(factor):
    soft = torch.tensor([[[[0.0, 0.5, 1.0, math.nan]]]])
    zoomed = HEADS["depth"].zoom(TASKS["depth"], soft, factor)[0, 0, 0]
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
    assert list(supervision.scores()) == ["s accuracy"]

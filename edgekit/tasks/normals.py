"""Surface normals in the camera frame."""

from __future__ import annotations

from collections.abc import Sequence
from types import MappingProxyType

import numpy as np

from edgekit.errors import EdgekitError
from edgekit.tasks.colours import INVALID, heat, levels
from edgekit.tasks.disk import as_floats, floats
from edgekit.tasks.form import OutputForm
from edgekit.tasks.kind import Kind, Meter, holes, require, share
from edgekit.tasks.legend import Legend, Sphere
from edgekit.tasks.metric import PrimaryMetric
from edgekit.tasks.store import Arrays
from edgekit.tasks.task import Task

_LENGTH_TOLERANCE = 0.02  # normals stored as float16 or 8-bit are unit only roughly
_WORST_ANGLE = 60.0  # degrees, painted in full red
_BINS_PER_DEGREE = 100
_LEAST_LENGTH = 1e-6  # of a vector that has a direction
_SLACK = 0.01  # by which normals on disk may leave 0-1: float16, and resampling
_NO_DIRECTION = 0.1  # length below which a vector on disk points nowhere


class Normals(Kind):
    """Native (H, W, 3) float32 unit vectors, x right, y down, z forward; facing the camera is z < 0. NaN = invalid.

    Soft (3, H, W): the same vectors.
    """

    name = "normals"
    fields = frozenset({"range"})
    usual_range = (-1.0, 1.0)
    primary = PrimaryMetric("mean_angle", unit="°", limit=1.0, higher_is_better=False)
    forms = (
        OutputForm(
            "normals",
            "unit vectors in the camera's frame: x right, y down, z forward",
            "planes",
            lambda task, soft: soft,
            join=lambda planes: _unit_vectors(planes),
        ),
    )
    columns = MappingProxyType(
        {
            "mean_angle": ("mean °", 1, 2),
            "median_angle": ("median °", 1, 2),
            "within_11_25": ("<11.25° %", 100, 1),
            "within_22_5": ("<22.5° %", 100, 1),
            "within_30": ("<30° %", 100, 1),
        }
    )

    def channels(self, task: Task) -> int:
        return 3

    def about(self, task: Task) -> str:
        return "surface normals"

    def validate(self, task: Task, array: np.ndarray, where: str) -> None:
        require(task, array, where, shape="HxWx3", dtypes=(np.float32,))
        invalid = np.isnan(array).all(axis=-1)
        length = np.linalg.norm(array, axis=-1)
        wrong = ~invalid & ~(np.abs(length - 1) <= _LENGTH_TOLERANCE)  # the negation also catches a part-NaN vector
        if wrong.any():
            row, column = np.argwhere(wrong)[0]
            raise EdgekitError(
                f"task '{task.name}' (normals) has {int(wrong.sum())} vectors that are not of length 1, "
                f"the first at row {row}, column {column}: {np.round(array[row, column], 4).tolist()}",
                where=where,
                fix="give unit vectors (from 0-1 storage: 2 v - 1), and NaN in all three channels of unknown normals",
            )

    def encode(self, task: Task, array: np.ndarray) -> np.ndarray:
        encoded = array.astype(np.float32)
        encoded[holes(encoded)] = np.nan
        return encoded

    def activation(self, task: Task, raw: np.ndarray) -> np.ndarray:
        length = np.linalg.norm(raw, axis=-3, keepdims=True)
        # No direction at all: the guess that is least wrong for a visible surface is one that faces the camera.
        facing = np.array([0, 0, -1], dtype=raw.dtype)[:, None, None]
        return np.where(length > _LEAST_LENGTH, raw / np.maximum(length, _LEAST_LENGTH), facing)

    def decode(self, task: Task, soft: np.ndarray) -> np.ndarray:
        unit = self.activation(task, soft.astype(np.float32))  # a mean of unit vectors is shorter than one
        return np.ascontiguousarray(unit.transpose(1, 2, 0))

    def store(self, task: Task, soft: np.ndarray, keep: str, top: int) -> Arrays:
        """8 bits a component, to 0.4°."""
        return {"normals": np.rint(np.clip(soft, -1, 1) * 127).astype(np.int8)}

    def restore(self, task: Task, arrays: Arrays) -> np.ndarray:
        normals = arrays["normals"].astype(np.float32)
        return normals / np.maximum(np.linalg.norm(normals, axis=-1, keepdims=True), 1e-6)

    def to_disk(self, task: Task, native: np.ndarray, where: str) -> np.ndarray:
        return as_floats((native + 1) / 2)

    def from_disk(self, task: Task, stored: np.ndarray, where: str) -> np.ndarray:
        """(H, W, 3) float, (n + 1) / 2; a vector without direction, (0, 0, 0) or (½, ½, ½) on disk, becomes NaN.

        Published normals point *away* from the camera (z > 0); their sign is kept, as no score or augmentation depends
        on it.
        """
        normals = floats(task, stored, where, 3)
        least, most = np.fmin.reduce(normals, axis=None), np.fmax.reduce(normals, axis=None)  # of all that is no NaN
        if least < -_SLACK or most > 1 + _SLACK:
            raise EdgekitError(
                f"the task '{task.name}' has the value {least if least < -_SLACK else most:.4g}, "
                "and normals lie on disk in 0-1",
                where=where,
                fix="store (n + 1) / 2",
            )
        normals *= 2
        normals -= 1
        square = np.einsum(
            "hwc,hwc->hw", normals, normals
        )  # three times as fast as norm, and this is read all the time
        nowhere = ~(square >= _NO_DIRECTION**2)
        corner = square > 2.99  # of (0, 0, 0) on disk it is 3
        corner[corner] = (normals[corner] == -1).all(axis=-1)
        normals /= np.sqrt(np.maximum(square, _NO_DIRECTION**2))[..., None]
        normals[nowhere | corner] = np.nan
        return normals

    def reorient(self, task: Task, array: np.ndarray, turn: np.ndarray, zoom: float) -> np.ndarray:
        """x and y turn with the frame, z grows with the zoom, and the length is made 1 again; NaN stays NaN."""
        out = np.concatenate([array[..., :2] @ turn.T.astype(np.float32), array[..., 2:] * np.float32(zoom)], axis=-1)
        return out / np.maximum(np.linalg.norm(out, axis=-1, keepdims=True), 1e-6)

    def meter(self, task: Task) -> Meter:
        return NormalsMeter()

    def picture(self, task: Task, array: np.ndarray) -> np.ndarray:
        """(n + 1) / 2 as a colour, dark grey where invalid."""
        picture = levels((array + 1) / 2)
        picture[holes(array)] = INVALID
        return picture

    def error_picture(self, task: Task, prediction: np.ndarray, target: np.ndarray) -> np.ndarray:
        """Angle between the two, full red from 60 degrees."""
        return heat(angle(prediction, target) / _WORST_ANGLE, valid=~holes(target))

    def legend(self, task: Task, array: np.ndarray) -> Legend:
        """A ball: a surface has the colour of the ball's side that faces the same way."""
        return Sphere(task.name)


def _unit_vectors(planes: Sequence[np.ndarray]) -> np.ndarray:
    """x, y and z (H, W) as vectors (H, W, 3) of length 1, which interpolated vectors no longer have.

    ``Normals.decode`` for this layout, in a fraction of its time.
    """
    length = np.sqrt(sum(plane * plane for plane in planes))
    inverse = 1 / np.maximum(length, _LEAST_LENGTH)
    out = np.empty((*length.shape, 3), np.float32)
    for c, plane in enumerate(planes):
        np.multiply(plane, inverse, out=out[..., c])
    out[length <= _LEAST_LENGTH] = (0, 0, -1)  # no direction: facing the camera
    return out


class NormalsMeter(Meter):
    """mean_angle and median_angle in degrees, and the shares of pixels within 11.25, 22.5 and 30 degrees.

    All over the pixels of all frames at which target and prediction are valid. The median comes from a histogram with
    bins of 0.01 degrees, so that memory stays constant: it is exact to 0.005 degrees.
    """

    def __init__(self) -> None:
        self._sum = 0.0
        self._within = np.zeros(3, dtype=np.int64)
        self._histogram = np.zeros(180 * _BINS_PER_DEGREE, dtype=np.int64)

    def _add(self, prediction: np.ndarray, target: np.ndarray, scene: str) -> None:
        angles = angle(prediction, target)
        angles = angles[~np.isnan(angles)]
        self._sum += float(angles.sum())
        self._within += [(angles < limit).sum() for limit in (11.25, 22.5, 30.0)]
        bins = np.minimum((angles * _BINS_PER_DEGREE).astype(np.int64), self._histogram.size - 1)
        self._histogram += np.bincount(bins, minlength=self._histogram.size)

    def result(self) -> dict[str, float | dict | None]:
        pixels = int(self._histogram.sum())
        return {
            "mean_angle": share(self._sum, pixels),
            "median_angle": self._median(pixels) if pixels else None,
            "within_11_25": share(self._within[0], pixels),
            "within_22_5": share(self._within[1], pixels),
            "within_30": share(self._within[2], pixels),
        }

    def _median(self, pixels: int) -> float:
        middle = np.array([(pixels - 1) // 2, pixels // 2])  # the same rank twice when the count is odd
        bins = np.searchsorted(self._histogram.cumsum(), middle, side="right")
        return float((bins + 0.5).mean() / _BINS_PER_DEGREE)


def angle(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Angle in degrees, (H, W) float64, between two (H, W, 3) vector fields of any length; NaN where either is NaN."""
    a, b = a.astype(np.float64), b.astype(np.float64)
    # arctan2 keeps its precision at small angles, where the arc cosine of a rounded product does not.
    return np.degrees(np.arctan2(np.linalg.norm(np.cross(a, b), axis=-1), (a * b).sum(axis=-1)))

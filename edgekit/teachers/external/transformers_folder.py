"""A network of the transformers library, in a folder as it saves them: segmentation or depth."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from pydantic import ValidationError
from torch import Tensor, nn

from edgekit.data.map_config import MapConfig
from edgekit.data.source import FrameInfo
from edgekit.errors import EdgekitError, first_line
from edgekit.frames.files import expand_home, sha256
from edgekit.frames.outside import open_regular, read_json
from edgekit.networks.hub_imports import import_transformers
from edgekit.tasks import Task
from edgekit.teachers.external.config import TransformersConfig
from edgekit.teachers.external.model import ExternalModel, Setting, batch_outputs
from edgekit.training.precision import device

_PATTERNS = ["config.json", "preprocessor_config.json", "model*.safetensors", "model.safetensors.index.json"]
_CODE = {"auto_map", "attn_implementation", "_attn_implementation", "quantization_config", "custom_pipelines"}
"""Keys of a network's JSON by which transformers would fetch or run code that is not its own."""
_CLASSES = {
    "semantic": ("AutoModelForSemanticSegmentation", "AutoModelForUniversalSegmentation"),
    "depth": ("AutoModelForDepthEstimation",),
}
_FARTHEST = 1e-6  # that a network of relative depth says


class Transformers(ExternalModel):
    """Frames are prepared as the folder's preprocessor_config.json says; weights are read from safetensors alone.

    EdgekitError for a folder that is not there and a name that cannot be fetched, for one without safetensors, one that
    needs code of its own, another kind of network, and a task that the network does not answer for.
    """

    Config = TransformersConfig
    needs = ("rgb",)

    def __init__(self, config: TransformersConfig, setting: Setting):
        self._config, self._where = config, setting.where
        transformers = import_transformers(f"{setting.where}.kind")
        self._folder = _folder(config, setting)
        settings = {path.name: read_json(path, what="the network's file") for path in self._folder.glob("*config.json")}
        for name, document in settings.items():
            if found := sorted(_CODE.intersection(_keys(document))):
                raise EdgekitError(
                    f"the network requires custom or third-party code: {found[0]}",
                    where=str(self._folder / name),
                    fix="give a network of transformers itself, as save_pretrained writes it",
                )
        try:
            options = {"local_files_only": True, "trust_remote_code": False}
            self._prepare = transformers.AutoImageProcessor.from_pretrained(self._folder, **options)
            self._network = _opened(transformers, config.task, self._folder, options)
        except Exception as error:  # of many types: each network refuses in its own way
            raise EdgekitError(
                f"transformers cannot open the network for {config.task}: {first_line(error)}",
                where=str(self._folder),
                fix="a folder holds config.json, preprocessor_config.json and model.safetensors, of Mask2Former or "
                "SegFormer for semantic, of Depth Anything or DPT for depth, as save_pretrained writes them",
            ) from error
        self._network = self._network.eval().to(device())
        asked = [self._asked(name, setting) for name in config.outputs]
        self._reciprocal = {task.name for task in asked if task.kind == "depth" and not task.unit}

    def _asked(self, name: str, setting: Setting) -> Task:
        """What an output is to be."""
        output, where = self._config.outputs[name], f"{setting.where}.outputs.{name}"
        task = output.task.task(name) if output.task else setting.tasks.get(name) or self.task(name)
        states = getattr(self._network.config, "depth_estimation_type", None)  # Depth Anything alone says it
        if task.kind != self._config.task:
            wrong = f"the network is one for {self._config.task}, and '{name}' is {task.kind}"
        elif task.kind == "depth" and states and (states == "metric") != (task.unit == "m"):
            wrong = f"the network says {states} depth, and '{name}' is in {task.unit or 'no unit'}"
        else:
            return task
        raise EdgekitError(wrong, where=where, fix="name a task of its kind and unit")

    def classes(self, task: str) -> Sequence[str] | None:
        names = self._network.config.id2label
        return [str(names[i]).strip() for i in sorted(names)] if self._config.task == "semantic" else None

    def task(self, name: str) -> Task:
        try:
            return MapConfig(kind=self._config.task, classes=self.classes(name) or []).task(name)
        except ValidationError as error:
            raise EdgekitError(
                f"the network's classes are not ones of a map: {first_line(error.errors()[0]['msg'])}",
                where=str(self._folder),
                fix="say what the map is (task), and which classes of the network are its: classes, merge and ignore",
            ) from error

    def default_form(self, task: Task) -> str:
        return "probabilities" if self._config.task == "semantic" else super().default_form(task)

    def key(self) -> Any:
        return {path.name: sha256(path) for path in _files(self._folder)}

    @torch.no_grad()
    def raw_batch(
        self, frames: Sequence[FrameInfo], maps: Sequence[Mapping[str, np.ndarray]], size: tuple[int, int]
    ) -> list[dict[str, Tensor] | None]:
        given = self._prepare(images=[m["rgb"] for m in maps], return_tensors="pt")
        pixels = given["pixel_values"].to(device())
        said = self._network(pixel_values=pixels)
        if self._config.task == "depth":
            found = said.predicted_depth.float()
        elif "class_queries_logits" in said:
            found = _classes_of_masks(said.class_queries_logits, said.masks_queries_logits, pixels.shape[-2:])
            if "pixel_mask" in given:  # 0 where the frame was padded, at the right and below
                seen = given["pixel_mask"][0].bool()
                found = found[..., : seen.any(dim=1).sum(), : seen.any(dim=0).sum()]
        else:
            found = said.logits.float().softmax(dim=1)
        each = batch_outputs({"output": found}, len(maps), self._config, self._where)
        return [self._in_our_units(values) for values in each]

    def _in_our_units(self, values: dict[str, Tensor]) -> dict[str, Tensor]:
        """Networks of relative depth say how near things are: their reciprocal, as in the maps of Dronescapes."""
        return {t: 1 / v.clamp(min=_FARTHEST) if t in self._reciprocal else v for t, v in values.items()}


def _folder(config: TransformersConfig, setting: Setting) -> Path:
    """The folder of the recipe, or one with what the hub has under that name."""
    folder = Path(setting.base, expand_home(Path(config.model)))
    if not folder.is_dir():
        folder = _fetched(config.model, f"{setting.where}.model")
    weights = list(folder.glob("model*.safetensors"))
    if not weights:
        raise EdgekitError(
            "the network has no weights in safetensors",
            where=str(folder),
            fix="save it again with the network's save_pretrained(FOLDER); files of other formats may run code",
        )
    for path in _files(folder):
        open_regular(path, what="the network's file").close()
    return folder


def _fetched(name: str, where: str) -> Path:
    """Where the hub's cache has the network of this name, fetched before if need be and the network allows it."""
    from huggingface_hub import snapshot_download

    repository, _, revision = name.partition("@")
    try:
        return Path(snapshot_download(repository, revision=revision or None, allow_patterns=_PATTERNS))
    except Exception as error:  # of many types: no network, no such name, a full disk
        raise EdgekitError(
            f"there is no folder '{name}', and no network of that name can be fetched: {first_line(error)}",
            where=where,
            fix="give a folder, relative to the recipe's own, or a name such as org/network, or org/network@commit",
        ) from error


def _files(folder: Path) -> list[Path]:
    return sorted({path for pattern in _PATTERNS for path in folder.glob(pattern)})


def _opened(transformers: Any, task: str, folder: Path, options: dict[str, Any]) -> nn.Module:
    kind = type(transformers.AutoConfig.from_pretrained(folder, **options))
    opener = next((o for name in _CLASSES[task] if kind in (o := getattr(transformers, name))._model_mapping), None)
    if opener is None:
        raise ValueError(f"{kind.model_type} is no network for {task}")
    return opener.from_pretrained(folder, use_safetensors=True, dtype=torch.float32, **options)


def _keys(document: Any) -> Iterator[str]:
    for key, value in document.items() if isinstance(document, dict) else ():
        yield key
        yield from _keys(value)


def _classes_of_masks(queries: Tensor, masks: Tensor, size: Sequence[int]) -> Tensor:
    """Logits of queries (N, Q, C + 1) and masks (N, Q, h, w) → (N, C, *size): Σ p(class) p(mask), as shares.

    The last class means that there is no object. Cheng et al., Masked-attention Mask Transformer for Universal Image
    Segmentation, 2022.
    """
    masks = F.interpolate(masks.float(), size=tuple(size), mode="bilinear", align_corners=False).sigmoid()
    scores = torch.einsum("nqc,nqhw->nchw", queries.float().softmax(dim=-1)[..., :-1], masks)
    return scores / scores.sum(dim=1, keepdim=True).clamp(min=1e-30)  # 0 where no mask says anything

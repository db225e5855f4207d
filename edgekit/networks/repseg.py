"""RepSeg: a quarter-resolution network of re-parameterisable blocks, made for INT8 on small devices."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edgekit.networks.resolutions import enlarged


class QARepBlock(nn.Module):
    """3×3 conv + 1×1 conv + identity, one batch norm after the sum, ReLU; fuses into a single 3×3 conv.

    RepVGG's per-branch batch norms make activation ranges explode under INT8; QARepVGG (arXiv 2212.01593) drops them
    from the 1×1 and identity branches and normalises the sum once. Here the 3×3 branch has none either: training
    too runs one convolution per block. (B, c_in, H, W) → (B, c_out, H/stride, W/stride).
    """

    def __init__(self, c_in: int, c_out: int, *, stride: int = 1, dilation: int = 1):
        super().__init__()
        self.conv3 = nn.Conv2d(c_in, c_out, 3, stride, padding=dilation, dilation=dilation, bias=False)
        self.conv1 = nn.Conv2d(c_in, c_out, 1, stride, bias=False)
        self.identity = c_in == c_out and stride == 1
        self.norm = nn.BatchNorm2d(c_out)

    def forward(self, x: Tensor) -> Tensor:
        # One convolution for all branches: summing kernels is cheaper than summing maps, the gradient is the same.
        y = F.conv2d(x, self.kernel(), None, self.conv3.stride, self.conv3.padding, self.conv3.dilation)
        return F.relu(self.norm(y), inplace=True)

    def kernel(self) -> Tensor:
        """The 3×3 kernel that equals the sum of the branches, (c_out, c_in, 3, 3)."""
        point = self.conv1.weight
        if self.identity:
            point = point + torch.eye(point.shape[0], dtype=point.dtype, device=point.device)[:, :, None, None]
        return self.conv3.weight + F.pad(point, (1, 1, 1, 1))

    def fused(self) -> nn.Sequential:
        """The same function in evaluation mode as conv 3×3 with bias, then ReLU."""
        scale = self.norm.weight / torch.sqrt(self.norm.running_var + self.norm.eps)
        conv = nn.Conv2d(
            self.conv3.in_channels,
            self.conv3.out_channels,
            3,
            self.conv3.stride,
            self.conv3.padding,
            self.conv3.dilation,
        ).to(scale.device)
        with torch.no_grad():
            conv.weight.copy_(self.kernel() * scale[:, None, None, None])
            conv.bias.copy_(self.norm.bias - self.norm.running_mean * scale)
        return nn.Sequential(conv, nn.ReLU(inplace=True))


class RepSeg(nn.Module):
    """(B, in_channels, H, W) → (B, out_channels, ⌈H/4⌉, ⌈W/4⌉), any H and W.

    Stem to 1/4, then 1/8 and 1/16 with light dilation, additive skips back to 1/4, a 1×1 head.
    ``width`` channels at 1/4, 2·width at 1/8, 3·width at 1/16; multiples of 16 keep tensor cores full.
    ``blocks`` per resolution after its first, ``dilations`` of the blocks at 1/16.
    """

    stride = 4

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        width: int = 32,
        blocks: Sequence[int] = (1, 2),
        dilations: Sequence[int] = (2, 4),
    ):
        super().__init__()
        w4, w8, w16 = width, 2 * width, 3 * width
        self.stem = nn.Sequential(
            QARepBlock(in_channels, width // 2 if width >= 32 else 16, stride=2),
            QARepBlock(width // 2 if width >= 32 else 16, w4, stride=2),
            *(QARepBlock(w4, w4) for _ in range(blocks[0])),
        )
        self.down8 = nn.Sequential(QARepBlock(w4, w8, stride=2), *(QARepBlock(w8, w8) for _ in range(blocks[1])))
        self.down16 = nn.Sequential(
            QARepBlock(w8, w16, stride=2), *(QARepBlock(w16, w16, dilation=d) for d in dilations)
        )
        self.lateral16 = nn.Conv2d(w16, w8, 1)
        self.fuse8 = QARepBlock(w8, w8)
        self.lateral8 = nn.Conv2d(w8, w4, 1)
        self.fuse4 = QARepBlock(w4, w4)
        self.head = nn.Conv2d(w4, out_channels, 1)

    def features(self, x: Tensor) -> Tensor:
        """(B, in_channels, H, W) → (B, width, H/4, W/4): what the 1×1 head reads."""
        x4 = self.stem(x)  # (B, w, H/4, W/4)
        x8 = self.down8(x4)  # (B, 2w, H/8, W/8)
        x16 = self.down16(x8)  # (B, 3w, H/16, W/16)
        x8 = self.fuse8(x8 + enlarged(self.lateral16(x16), 2, x8.shape[-2:]))
        return self.fuse4(x4 + enlarged(self.lateral8(x8), 2, x4.shape[-2:]))

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.features(x))

    def fuse(self) -> RepSeg:
        """Replace every block by its single convolution, in place; evaluation mode only. Returns self."""
        return fuse_blocks(self)


def fuse_blocks(network: nn.Module) -> nn.Module:
    """Replace every QARepBlock by its single convolution, in place; evaluation mode only. Returns the network."""
    for module in list(network.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, QARepBlock):
                setattr(module, name, child.fused())
    return network

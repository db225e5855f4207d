"""SafeUAV: the convolutional U-Net of PHG-MAE, at full input resolution."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def _block(c_in: int, c_out: int, *, stride: int = 1, dilation: int = 1) -> nn.Sequential:
    conv = nn.Conv2d(c_in, c_out, 3, stride, padding=dilation, dilation=dilation)
    return nn.Sequential(conv, nn.BatchNorm2d(c_out), nn.ReLU(inplace=True))


def _block_t(c_in: int, c_out: int) -> nn.Sequential:
    conv = nn.ConvTranspose2d(c_in, c_out, 3, stride=2, padding=1)
    return nn.Sequential(conv, nn.BatchNorm2d(c_out), nn.ReLU(inplace=True))


@torch.no_grad()
def _pass_on(network: nn.Module) -> None:
    """Add the identity to the first weights of every 3×3 convolution, so that at first it passes its input on.

    Twenty plain convolutions in a row learn slowly; begun like this they learn as if there were shortcuts (DiracNets,
    arXiv 1706.00388), and layers, parameters and checkpoints stay as published.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d) and module.kernel_size == (3, 3):
            module.weight += nn.init.dirac_(torch.empty_like(module.weight))


def _zero_pad_to(x: Tensor, like: Tensor) -> Tensor:
    """Zero-pad right and bottom to the size of ``like``.

    By concatenation and not by ``Pad``: the ONNX down-conversion to opset 17 fails on ``Pad``.
    """
    height, width = like.shape[-2:]
    if x.shape[-1] < width:
        x = torch.cat([x, x.new_zeros(*x.shape[:-1], width - x.shape[-1])], dim=-1)
    if x.shape[-2] < height:
        x = torch.cat([x, x.new_zeros(*x.shape[:-2], height - x.shape[-2], x.shape[-1])], dim=-2)
    return x


class _Encoder(nn.Module):
    """Everything but the head; the attribute names are the keys of the published checkpoints."""

    def __init__(self, in_channels: int, n: int):
        super().__init__()
        self.conv1 = _block(in_channels, n)
        self.conv2 = _block(n, n)
        self.conv3 = _block(n, n, stride=2)
        self.conv4 = _block(n, 2 * n)
        self.conv5 = _block(2 * n, 2 * n)
        self.conv6 = _block(2 * n, 2 * n, stride=2)
        self.conv7 = _block(2 * n, 4 * n)
        self.conv8 = _block(4 * n, 4 * n)
        self.conv9 = _block(4 * n, 4 * n, stride=2)
        self.dilate1 = _block(4 * n, 8 * n)
        for i in range(1, 6):
            setattr(self, f"dilate{i + 1}", _block(8 * n, 8 * n, dilation=2**i))
        self.conv10_t = _block_t(8 * n, 4 * n)
        self.conv11 = _block(8 * n, 4 * n)
        self.conv12_t = _block_t(4 * n, 2 * n)
        self.conv13 = _block(4 * n, n)
        self.conv14_t = _block_t(n, n)
        self.conv15 = _block(2 * n, n)
        _pass_on(self)

    def forward(self, x: Tensor) -> Tensor:
        skip1 = self.conv1(x)  # (B, n, H, W)
        x = self.conv3(self.conv2(skip1))  # (B, n, H/2, W/2)
        skip2 = self.conv4(x)  # (B, 2n, H/2, W/2)
        x = self.conv6(self.conv5(skip2))  # (B, 2n, H/4, W/4)
        skip3 = self.conv7(x)  # (B, 4n, H/4, W/4)
        x = self.conv9(self.conv8(skip3))  # (B, 4n, H/8, W/8)

        x = total = self.dilate1(x)  # (B, 8n, H/8, W/8)
        for i in range(2, 7):
            x = getattr(self, f"dilate{i}")(x)
            total = total + x

        x = _zero_pad_to(self.conv10_t(total), skip3)  # (B, 4n, H/4, W/4)
        x = self.conv11(torch.cat([x, skip3], dim=1))
        x = _zero_pad_to(self.conv12_t(x), skip2)  # (B, 2n, H/2, W/2)
        x = self.conv13(torch.cat([x, skip2], dim=1))
        x = _zero_pad_to(self.conv14_t(x), skip1)  # (B, n, H, W)
        return self.conv15(torch.cat([x, skip1], dim=1))


class SafeUAV(nn.Module):
    """(B, in_channels, H, W) → (B, out_channels, H, W), any H and W.

    ``width`` is ``num_filters`` of the published variants: 6, 10, 16, 32 are the "150k", "430k", "1M", "4M" networks.
    Layers and parameter names follow the inference code of PHG-MAE (arXiv 2510.10068), so that its checkpoints load.
    """

    stride = 1

    def __init__(self, in_channels: int, out_channels: int, *, width: int = 10):
        super().__init__()
        self.encoder = _Encoder(in_channels, width)
        self.decoder = nn.Conv2d(width, out_channels, 1)

    def features(self, x: Tensor) -> Tensor:
        """(B, in_channels, H, W) → (B, width, H, W): what the 1×1 head reads."""
        return self.encoder(x)

    def forward(self, x: Tensor) -> Tensor:
        return self.decoder(self.features(x))

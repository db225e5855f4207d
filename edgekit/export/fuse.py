"""The student as it is deployed: every batch norm and every branch folded into its convolution."""

from __future__ import annotations

import copy
from itertools import pairwise

from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from edgekit.students.student import Student

_CONVOLUTIONS = (nn.Conv2d, nn.ConvTranspose2d)


def fused(student: Student) -> Student:
    """A copy of the student in evaluation mode whose network is fused; the same function, rounded differently."""
    out = copy.deepcopy(student).cpu().eval()
    if hasattr(out.network, "fuse"):
        out.network.fuse()
    for module in list(out.network.modules()):
        if isinstance(module, nn.Sequential):
            _fold_batch_norms(module)
    return out.eval()


def _fold_batch_norms(block: nn.Sequential) -> None:
    """conv → batch norm inside one ``Sequential``; the norm becomes an identity, so that names stay."""
    children = list(block.named_children())
    for (first, conv), (second, norm) in pairwise(children):
        if isinstance(conv, _CONVOLUTIONS) and isinstance(norm, nn.BatchNorm2d):
            setattr(block, first, fuse_conv_bn_eval(conv, norm, transpose=isinstance(conv, nn.ConvTranspose2d)))
            setattr(block, second, nn.Identity())

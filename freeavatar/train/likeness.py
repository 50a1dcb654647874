"""How alike two pictures are: peak signal-to-noise ratio and structural similarity."""

from typing import Final

import torch
from torch import Tensor
from torch.nn import functional as F

_TAPS: Final = 11
_SIGMA: Final = 1.5
_C1, _C2 = 0.01**2, 0.03**2


def psnr(a: Tensor, b: Tensor, weight: Tensor | None = None) -> Tensor:
    """(B,) peak signal-to-noise ratio in decibels of pictures (B, C, H, W) in 0..1; infinite for equal ones.

    Args:
        a, b: the pictures.
        weight: (H, W) weights of the pixels; None counts all alike.
    """
    error = (a - b).square().mean(1)
    weight = torch.ones_like(error[0]) if weight is None else weight
    return -10 * ((error * weight).sum((1, 2)) / weight.sum()).log10()


def ssim(a: Tensor, b: Tensor) -> Tensor:
    """(B,) structural similarity of pictures (B, C, H, W) in 0..1 of at least 11 pixels; 1 for equal ones.

    As published (Wang et al. 2004): a Gaussian window of 11 taps, sigma 1.5, K 0.01 and 0.03, without padding; the mean
    over places and channels.
    """
    mean_a, mean_b = _blur(a), _blur(b)
    var_a, var_b = _blur(a * a) - mean_a.square(), _blur(b * b) - mean_b.square()
    both = _blur(a * b) - mean_a * mean_b
    top = (2 * mean_a * mean_b + _C1) * (2 * both + _C2)
    return (top / ((mean_a.square() + mean_b.square() + _C1) * (var_a + var_b + _C2))).mean((1, 2, 3))


def _blur(x: Tensor) -> Tensor:
    at = torch.arange(_TAPS, dtype=x.dtype, device=x.device) - _TAPS // 2
    window = torch.exp(-at.square() / (2 * _SIGMA**2))
    window = (window / window.sum()).expand(x.shape[1], 1, 1, -1)
    return F.conv2d(F.conv2d(x, window, groups=x.shape[1]), window.mT, groups=x.shape[1])

"""Random changes of a batch that leave its labels true."""

import math

import torch
from torch import Generator, Tensor
from torch.nn import functional


def random_affine(
    x: Tensor,
    generator: Generator,
    *,
    degrees: float = 10.0,
    scale: float = 0.1,
    shear: float = 0.1,
    shift: float = 0.08,
) -> Tensor:
    """Rotate, scale, shear and shift each image of a batch by amounts of its own.

    Parameters
    ----------
    x : images (n, c, h, w).
    degrees, scale, shear, shift : the largest rotation; the largest relative change of size; the
        largest shear; the largest shift as a share of the image's size.

    Returns images of the same shape; what comes from outside is 0. The change is one bilinear
    resampling of the whole batch (Jaderberg et al., "Spatial Transformer Networks", 2015).
    """
    n = len(x)

    def uniform(largest: float) -> Tensor:
        return (torch.rand(n, generator=generator) * 2 - 1) * largest

    angle, size = uniform(math.radians(degrees)), 1 + uniform(scale)
    cos, sin, slant = torch.cos(angle) / size, torch.sin(angle) / size, uniform(shear)
    # A grid of -1 … 1 spans the image, so a shift by a share s is one by 2 s.
    rows = [cos, slant * cos - sin, uniform(2 * shift), sin, slant * sin + cos, uniform(2 * shift)]
    matrices = torch.stack(rows, dim=1).view(n, 2, 3)
    grid = functional.affine_grid(matrices, list(x.shape), align_corners=False)
    return functional.grid_sample(x, grid, align_corners=False)


def random_shift(x: Tensor, generator: Generator, *, pixels: int = 2) -> Tensor:
    """Shift the whole batch by the same random whole number of pixels, up to `pixels` each way.

    A batch's images change places every epoch, so each image still meets every shift; one slice of
    the padded batch costs next to nothing.
    """
    top, left = torch.randint(0, 2 * pixels + 1, (2,), generator=generator).tolist()
    padded = functional.pad(x, (pixels, pixels, pixels, pixels))
    return padded[:, :, top : top + x.shape[2], left : left + x.shape[3]]


def random_flip(x: Tensor, generator: Generator) -> Tensor:
    """Mirror a random half of the batch left to right; for clothes, not for digits."""
    mirrored = torch.rand(len(x), generator=generator) < 0.5
    return torch.where(mirrored.view(-1, 1, 1, 1), x.flip(3), x)

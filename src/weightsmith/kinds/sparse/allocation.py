"""How many weights of each layer stay, for a share of zeros over all of them."""

import math
from collections.abc import Sequence

Shape = tuple[int, ...]


def uniform(shapes: Sequence[Shape], sparsity: float) -> list[int]:
    """Weights to keep of each layer, the same share of each."""
    return [math.prod(shape) - round(sparsity * math.prod(shape)) for shape in shapes]


def erdos_renyi_kernel(shapes: Sequence[Shape], sparsity: float) -> list[int]:
    """Weights to keep of each layer, more of small layers, together the share asked for.

    A layer of shape `(out, in, *kernel)` gets the density `factor * sum(shape) / prod(shape)` (Mocanu et al. 2018 for
    matrices, Evci et al. 2020, "Rigging the Lottery", section 3 for kernels); one whose density would exceed 1 stays
    dense, and the factor is that which makes the total right.
    """
    sizes = [math.prod(shape) for shape in shapes]
    wanted = sum(sizes) - round(sparsity * sum(sizes))
    raw = [sum(shape) for shape in shapes]  # weights to keep, up to the factor
    full = {index for index, size in enumerate(sizes) if size == 0}
    while True:
        open_ = [index for index in range(len(sizes)) if index not in full]
        left = wanted - sum(sizes[index] for index in full)
        factor = max(left, 0) / max(sum(raw[index] for index in open_), 1)
        beyond = {index for index in open_ if factor * raw[index] > sizes[index]}
        if not beyond:
            break
        full |= beyond
    exact = [float(size) if index in full else factor * raw[index] for index, size in enumerate(sizes)]
    return _rounded(exact, sizes, wanted)


def _rounded(exact: Sequence[float], sizes: Sequence[int], total: int) -> list[int]:
    """Whole numbers next to these, with this sum where sizes allow it: largest remainders are rounded up."""
    kept = [min(int(value), size) for value, size in zip(exact, sizes, strict=True)]
    by_remainder = sorted(range(len(exact)), key=lambda index: int(exact[index]) - exact[index])
    for index in by_remainder:
        if sum(kept) >= total:
            break
        kept[index] += kept[index] < sizes[index]
    return kept

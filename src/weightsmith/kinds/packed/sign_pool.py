"""`SignPool2d`: max pooling of signs, packed or not."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from weightsmith.kinds.packed.xnor_operators import call_pool, pool_op, run


class SignPool2d(nn.Module):
    """Max pooling of signs; the minimum in channels whose batch norm, applied before, would turn the order around.

    Args:
        kernel: height and width of the window.
        stride: of the window.
        padding: rows and columns on each side, which take no part.
        flip: bool[channels], where the minimum is taken; None for nowhere.
    """

    flip: Tensor | None

    def __init__(
        self, kernel: tuple[int, int], stride: tuple[int, int], padding: tuple[int, int], flip: Tensor | None
    ) -> None:
        super().__init__()
        self.kernel = kernel
        self.stride = stride
        self.padding = padding
        self.register_buffer("flip", flip)

    def forward(self, inputs: Tensor) -> Tensor:
        """A packed image int64[batch, height, width, words], or floats, channels second, pooled."""
        if inputs.dtype == torch.int64:
            return run(call_pool, pool_op, inputs, self.flip, self.kernel, self.stride, self.padding)
        if self.flip is None:
            return F.max_pool2d(inputs, self.kernel, self.stride, self.padding)
        turn = torch.where(self.flip, -1.0, 1.0).to(inputs.dtype).view(-1, 1, 1)
        return turn * F.max_pool2d(turn * inputs, self.kernel, self.stride, self.padding)

    def dense(self) -> nn.MaxPool2d:
        """Max pooling as it was before."""
        return nn.MaxPool2d(self.kernel, self.stride, self.padding)

    def extra_repr(self) -> str:
        """The window, for printed models."""
        return f"kernel={self.kernel}, stride={self.stride}, padding={self.padding}"


def window(pool: nn.MaxPool2d) -> tuple[tuple[int, int], tuple[int, int], tuple[int, int]]:
    """Kernel, stride and padding of a pool of torch's, as pairs."""
    return pair(pool.kernel_size), pair(pool.stride), pair(pool.padding)


def pair(value: int | tuple[int, ...]) -> tuple[int, int]:
    """Both numbers of a setting that may be one for both."""
    return (value, value) if isinstance(value, int) else (value[0], value[1])

"""Fill one tensor: the functions of `torch.nn.init` under their own names and signatures, and the few it lacks.

Where torch's function is right it is the one used here. Replaced are those that are not: truncated normal (bounds that
hold in every dtype), orthogonal (16-bit types, channels-last memory), sparse (its generator), Kaiming (any activation).
A generator seeded like the global one gives the global one's numbers.
"""

import math
import warnings
from collections.abc import Callable

import torch
from torch import Generator, Tensor
from torch.nn.init import constant_, dirac_, eye_, normal_, ones_, uniform_, zeros_

from weightsmith.errors import InputError
from weightsmith.init.gains import calculate_gain
from weightsmith.names import choose

__all__ = [
    "constant_",
    "dirac_",
    "eye_",
    "fans",
    "kaiming_normal_",
    "kaiming_uniform_",
    "lecun_normal_",
    "lecun_uniform_",
    "normal_",
    "ones_",
    "orthogonal_",
    "sparse_",
    "trunc_normal_",
    "truncated_normal_",
    "uniform_",
    "xavier_normal_",
    "xavier_uniform_",
    "zeros_",
]


def fans(tensor: Tensor) -> tuple[int, int]:
    """Inputs one output sums over and outputs one input reaches, for a weight of shape `(out, in, *kernel)`.

    For grouped, transposed, packed and gated layers call it on one block of the weight, as `init.apply` does.

    Raises:
        InputError: fewer than two dimensions.
    """
    if tensor.dim() < 2:
        raise InputError(f"fan in and fan out need a tensor of two or more dimensions, not of shape {_shape(tensor)}")
    receptive = math.prod(tensor.shape[2:])
    return tensor.size(1) * receptive, tensor.size(0) * receptive


def xavier_uniform_(tensor: Tensor, gain: float = 1.0, generator: Generator | None = None) -> Tensor:
    """Fill with `U(-a, a)`, `a = gain * sqrt(6 / (fan_in + fan_out))` (Glorot & Bengio 2010)."""
    std = gain * xavier_std(tensor)
    return uniform_(tensor, -math.sqrt(3) * std, math.sqrt(3) * std, generator)


def xavier_normal_(tensor: Tensor, gain: float = 1.0, generator: Generator | None = None) -> Tensor:
    """Fill with `N(0, gain^2 * 2 / (fan_in + fan_out))` (Glorot & Bengio 2010)."""
    return normal_(tensor, 0.0, gain * xavier_std(tensor), generator)


def kaiming_uniform_(
    tensor: Tensor,
    a: float = 0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Generator | None = None,
) -> Tensor:
    """Fill with `U(-b, b)`, `b = gain * sqrt(3 / fan)` (He et al. 2015).

    Args:
        tensor: weight of shape `(out, in, *kernel)`.
        a: parameter of the nonlinearity, such as the negative slope of leaky_relu.
        mode: `fan_in` keeps the variance on the way forward, `fan_out` on the way back.
        nonlinearity: any name `calculate_gain` knows.
        generator: torch generator to draw from; None for the global one.
    """
    bound = math.sqrt(3) * kaiming_std(tensor, a, mode, nonlinearity)
    return tensor if _empty(tensor) else uniform_(tensor, -bound, bound, generator)


def kaiming_normal_(
    tensor: Tensor,
    a: float = 0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Generator | None = None,
) -> Tensor:
    """Fill with `N(0, gain^2 / fan)` (He et al. 2015); the arguments are those of `kaiming_uniform_`."""
    std = kaiming_std(tensor, a, mode, nonlinearity)
    return tensor if _empty(tensor) else normal_(tensor, 0.0, std, generator)


def lecun_uniform_(tensor: Tensor, generator: Generator | None = None) -> Tensor:
    """Fill with `U(-b, b)`, `b = sqrt(3 / fan_in)` (LeCun et al. 1998)."""
    std = lecun_std(tensor)
    return uniform_(tensor, -math.sqrt(3) * std, math.sqrt(3) * std, generator)


def lecun_normal_(tensor: Tensor, generator: Generator | None = None) -> Tensor:
    """Fill with `N(0, 1 / fan_in)` (LeCun et al. 1998); SELU's fixed point needs it (Klambauer et al. 2017)."""
    return normal_(tensor, 0.0, lecun_std(tensor), generator)


def trunc_normal_(
    tensor: Tensor,
    mean: float = 0.0,
    std: float = 1.0,
    a: float = -2.0,
    b: float = 2.0,
    generator: Generator | None = None,
) -> Tensor:
    """Fill with `N(mean, std^2)` cut to `[a, b]`, by inverting the distribution function in float64.

    One uniform number is spent per element, so that the numbers drawn do not depend on rejections. No value lies
    outside `[a, b]`, after rounding to the tensor's dtype too.

    Args:
        tensor: any shape, any floating dtype; left alone on the meta device.
        mean: mean of the normal before it is cut.
        std: standard deviation of the normal before it is cut; the result's is smaller.
        a: lower bound, a value (not a multiple of `std`; `truncated_normal_` takes that).
        b: upper bound, a value.
        generator: torch generator on the tensor's device; None for the global one.

    Raises:
        InputError: a tensor of another dtype, `std` not positive, `a >= b`, or bounds so far out that the normal holds
            no mass between them.
    """
    _check_floating(tensor)
    if not (std > 0 and a < b):
        raise InputError(f"a truncated normal needs std > 0 and a < b, not std={std}, a={a}, b={b}")
    if tensor.is_meta or tensor.numel() == 0:
        return tensor
    low, high = (a - mean) / std, (b - mean) / std
    # In the upper tail 1 - p loses all digits, so the interval is mirrored into the lower one.
    sign = -1.0 if low > 0 else 1.0
    if sign < 0:
        low, high = -high, -low
    p_low, p_high = _normal_cdf(low), _normal_cdf(high)
    if not p_high > p_low:
        raise InputError(f"N({mean}, {std}^2) holds no mass between a={a} and b={b} in float64")
    with torch.no_grad():
        uniform = torch.empty(tensor.shape, dtype=torch.float64, device=tensor.device).uniform_(generator=generator)
        # 2**-53 from 1 is the nearest float64; 1 itself would be infinitely far out
        p = uniform.clamp_(min=2.0**-53).mul_(p_low - p_high).add_(p_high)
        values = torch.special.ndtri(p).mul_(sign * std).add_(mean)
        tensor.copy_(values.clamp_(*_inside(tensor.dtype, a, b)))
    return tensor


def truncated_normal_(
    tensor: Tensor, mean: float = 0.0, std: float = 1.0, bound: float = 2.0, generator: Generator | None = None
) -> Tensor:
    """Fill with `N(mean, std^2)` cut at `bound` standard deviations on both sides.

    What most papers mean by a truncated normal; `trunc_normal_` keeps torch's absolute bounds, which a `std` of 0.02
    never reaches.
    """
    return trunc_normal_(tensor, mean, std, mean - bound * std, mean + bound * std, generator)


def orthogonal_(tensor: Tensor, gain: float = 1, generator: Generator | None = None) -> Tensor:
    """Fill with a random (semi-)orthogonal matrix times `gain` (Saxe et al. 2013), uniform over such matrices.

    Dimensions after the first are taken as one. 16-bit tensors are factorized in float32 and rounded once.

    Raises:
        InputError: fewer than two dimensions, or a dtype that is not floating-point.
    """
    _check_floating(tensor)
    if tensor.dim() < 2:
        raise InputError(f"orthogonal_ needs a tensor of two or more dimensions, not of shape {_shape(tensor)}")
    if tensor.numel() == 0 or tensor.is_meta:
        return tensor
    rows = tensor.size(0)
    working = tensor.dtype if tensor.dtype in (torch.float32, torch.float64) else torch.float32
    with torch.no_grad():
        flat = torch.empty(rows, tensor.numel() // rows, dtype=working, device=tensor.device)
        flat.normal_(0, 1, generator=generator)
        wide = flat.size(0) < flat.size(1)
        q, r = torch.linalg.qr(flat.T if wide else flat)
        # Signs of R's diagonal make the factorization unique and Q uniform (Mezzadri 2007).
        q = q * torch.where(torch.diag(r) < 0, -1.0, 1.0).to(working)
        tensor.copy_((q.T if wide else q).mul(gain).reshape(tensor.shape))
    return tensor


def sparse_(tensor: Tensor, sparsity: float, std: float = 0.01, generator: Generator | None = None) -> Tensor:
    """Fill with `N(0, std^2)` and set `ceil(sparsity * rows)` random entries of every column to 0 (Martens 2010).

    Args:
        tensor: two dimensions.
        sparsity: share of each column to set to 0, from 0 to 1.
        std: standard deviation of the others.
        generator: torch generator for the values and the places; None for the global one.

    Raises:
        InputError: another number of dimensions, or a share outside 0 to 1.
    """
    if tensor.dim() != 2:
        raise InputError(f"sparse_ needs a tensor of two dimensions, not of shape {_shape(tensor)}")
    if not 0 <= sparsity <= 1:
        raise InputError(f"sparsity is a share from 0 to 1, not {sparsity}")
    if tensor.is_meta or tensor.numel() == 0:
        return tensor
    kept = tensor.size(0) - math.ceil(sparsity * tensor.size(0))
    normal_(tensor, 0.0, std, generator)
    with torch.no_grad():
        keys = torch.empty(tensor.T.shape, dtype=torch.float64, device=tensor.device).uniform_(generator=generator)
        zero = torch.ones_like(keys, dtype=torch.bool).scatter_(1, keys.topk(kept, dim=1).indices, False)
        tensor.masked_fill_(zero.T, 0.0)
    return tensor


def xavier_std(tensor: Tensor) -> float:
    """Standard deviation that Xavier's schemes give a weight of this shape, before the gain; 0 without elements."""
    total = sum(fans(tensor))
    return math.sqrt(2.0 / total) if total else 0.0


def kaiming_std(tensor: Tensor, a: float = 0, mode: str = "fan_in", nonlinearity: str = "leaky_relu") -> float:
    """Standard deviation that Kaiming's schemes give a weight of this shape; 0 without elements."""
    choose(mode.lower(), ("fan_in", "fan_out"), "mode")
    fan = fans(tensor)[mode.lower() == "fan_out"]
    # torch's default a=0 means "no slope" for leaky_relu alone; elsewhere 0 stands for the activation's own default.
    gain = calculate_gain(nonlinearity, a if nonlinearity == "leaky_relu" else a or None)
    return gain / math.sqrt(fan) if fan else 0.0


def lecun_std(tensor: Tensor) -> float:
    """Standard deviation that LeCun's schemes give a weight of this shape; 0 without elements."""
    fan_in, _ = fans(tensor)
    return 1.0 / math.sqrt(fan_in) if fan_in else 0.0


def _empty(tensor: Tensor) -> bool:
    if 0 in tensor.shape:
        warnings.warn("Initializing zero-element tensors is a no-op", stacklevel=3)
        return True
    return False


def _check_floating(tensor: Tensor) -> None:
    if not tensor.is_floating_point():
        raise InputError(f"only floating-point tensors can be filled with a real draw, not {tensor.dtype}")


def _shape(tensor: Tensor) -> tuple[int, ...]:
    return tuple(tensor.shape)


def _normal_cdf(x: float) -> float:
    return 0.5 * math.erfc(-x / math.sqrt(2.0))


def _inside(dtype: torch.dtype, a: float, b: float) -> tuple[float, float]:
    """The outermost values of `dtype` that lie within `[a, b]`; rounding to nearest could step outside."""
    return _toward(dtype, a, b, lambda rounded: rounded < a), _toward(dtype, b, a, lambda rounded: rounded > b)


def _toward(dtype: torch.dtype, bound: float, target: float, outside: Callable[[float], bool]) -> float:
    rounded = torch.tensor(bound, dtype=dtype, device="cpu")
    if outside(rounded.item()):
        rounded = torch.nextafter(rounded, torch.full_like(rounded, target))
    return float(rounded.item())

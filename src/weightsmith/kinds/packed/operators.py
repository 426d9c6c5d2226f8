"""Kernels as torch operators, so that `torch.compile`, `torch.export` and autograd see one opaque step with a shape.

Dispatching a custom operator costs tens of microseconds, more than a small kernel itself; where nobody is watching
(`unobserved`), layers call the kernel directly.
"""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.grad import conv2d_input

from weightsmith.errors import InputError
from weightsmith.kinds.packed.forms import FORMS, Floats, Geometry, floats, optional_floats
from weightsmith.packing import matrix_shape


def unobserved(inputs: Tensor) -> bool:
    """Whether a kernel may be called past the dispatcher: nothing traces, differentiates or transforms the inputs."""
    return not (
        torch.compiler.is_compiling()
        or type(inputs) not in (Tensor, torch.nn.Parameter)
        or (inputs.requires_grad and torch.is_grad_enabled())
        or torch._C._len_torch_dispatch_stack()
        or torch._C._len_torch_function_stack()
        or torch._C._get_tracing_state() is not None
    )


def transformed() -> bool:
    """Whether `torch.func` (vmap, grad, jvp) is at work, which goes through plain operations only."""
    return not torch.compiler.is_compiling() and torch._C._functorch.peek_interpreter_stack() is not None


def call_linear(inputs: Tensor, ready: Any, bias: Floats | None, form: str, shape: Sequence[int]) -> Tensor:
    """float32[batch, outputs] of float32[batch, inputs] on the CPU, by the kernel of the form."""
    found: Tensor = torch.from_numpy(FORMS[form].linear(floats(inputs), ready, shape, bias))
    return found


def call_convolution(
    inputs: Tensor, ready: Any, bias: Floats | None, form: str, shape: Sequence[int], geometry: Geometry
) -> Tensor:
    """float32[batch, outputs, height, width] of float32[batch, channels, height, width] on the CPU, likewise."""
    values = FORMS[form].convolution(floats(inputs), ready, shape, bias, geometry)
    found: Tensor = torch.from_numpy(values)
    return found


@torch.library.custom_op("weightsmith::unpack", mutates_args=(), device_types="cpu")
def unpack(parts: Sequence[Tensor], form: str, shape: Sequence[int]) -> Tensor:
    """float32[shape], the dense weight behind the parts of a form."""
    return FORMS[form].dense(parts, shape)


@unpack.register_fake
def _(parts: Sequence[Tensor], form: str, shape: Sequence[int]) -> Tensor:
    return parts[0].new_empty(tuple(shape), dtype=torch.float32)


@torch.library.custom_op("weightsmith::packed_linear", mutates_args=(), device_types="cpu")
def packed_linear(
    inputs: Tensor, parts: Sequence[Tensor], bias: Tensor | None, form: str, shape: Sequence[int]
) -> Tensor:
    """`call_linear` as an operator."""
    return call_linear(inputs, FORMS[form].ready(parts, shape), optional_floats(bias), form, shape)


@packed_linear.register_fake
def _(inputs: Tensor, parts: Sequence[Tensor], bias: Tensor | None, form: str, shape: Sequence[int]) -> Tensor:
    return inputs.new_empty(inputs.shape[0], shape[0])


@torch.library.custom_op("weightsmith::packed_convolution", mutates_args=(), device_types="cpu")
def packed_convolution(
    inputs: Tensor,
    parts: Sequence[Tensor],
    bias: Tensor | None,
    form: str,
    shape: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    groups: int,
) -> Tensor:
    """`call_convolution` as an operator."""
    ready, offset = FORMS[form].ready(parts, shape), optional_floats(bias)
    return call_convolution(inputs, ready, offset, form, shape, geometry_of(stride, padding, dilation, groups))


@packed_convolution.register_fake
def _(
    inputs: Tensor,
    parts: Sequence[Tensor],
    bias: Tensor | None,
    form: str,
    shape: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    groups: int,
) -> Tensor:
    geometry = geometry_of(stride, padding, dilation, groups)
    return inputs.new_empty(inputs.shape[0], shape[0], *output_size(inputs.shape[2:], shape[2:], geometry))


def geometry_of(stride: Sequence[int], padding: Sequence[int], dilation: Sequence[int], groups: int) -> Geometry:
    """The geometry of lists as operators take them."""
    return Geometry((stride[0], stride[1]), (padding[0], padding[1]), (dilation[0], dilation[1]), groups)


def output_size(size: Sequence[int], kernel: Sequence[int], geometry: Geometry) -> tuple[int, int]:
    """Height and width of what a convolution gives."""
    height, width = (
        (size[axis] + 2 * geometry.padding[axis] - geometry.dilation[axis] * (kernel[axis] - 1) - 1)
        // geometry.stride[axis]
        + 1
        for axis in range(2)
    )
    return height, width


def _remember(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    given, parts, _, form, shape, *rest = inputs
    ctx.save_for_backward(*parts)
    ctx.form, ctx.shape, ctx.given, ctx.geometry = form, tuple(shape), given.shape, rest


def _linear_gradients(ctx: Any, gradient: Tensor) -> tuple[Any, ...]:
    parts = list(ctx.saved_tensors)
    weight = unpack(parts, ctx.form, ctx.shape).reshape(matrix_shape(ctx.shape))
    bias = gradient.sum(0) if ctx.needs_input_grad[2] else None
    return gradient @ weight, [None] * len(parts), bias, None, None


def _convolution_gradients(ctx: Any, gradient: Tensor) -> tuple[Any, ...]:
    parts = list(ctx.saved_tensors)
    weight = unpack(parts, ctx.form, ctx.shape)
    back = conv2d_input(ctx.given, weight, gradient, *ctx.geometry)  # type: ignore[no-untyped-call]
    bias = gradient.sum((0, 2, 3)) if ctx.needs_input_grad[2] else None
    return back, [None] * len(parts), bias, None, None, None, None, None, None


packed_linear.register_autograd(_linear_gradients, setup_context=_remember)
packed_convolution.register_autograd(_convolution_gradients, setup_context=_remember)


def _require_floats(inputs: Tensor) -> None:
    """Refuse whole numbers and bools as the dense layers do: to give results in their type would cut fractions off."""
    if not inputs.is_floating_point():
        raise InputError(f"inputs are floating-point numbers, not {str(inputs.dtype).removeprefix('torch.')}")


def plain_linear(inputs: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """The dense product, in the inputs' type."""
    _require_floats(inputs)
    offset = None if bias is None else bias.to(inputs.dtype)
    return F.linear(inputs, weight.to(inputs.dtype), offset).to(inputs.dtype)


def plain_convolution(inputs: Tensor, weight: Tensor, bias: Tensor | None, geometry: Geometry) -> Tensor:
    """The dense convolution, in the inputs' type."""
    _require_floats(inputs)
    offset = None if bias is None else bias.to(inputs.dtype)
    return F.conv2d(inputs, weight.to(inputs.dtype), offset, *geometry).to(inputs.dtype)

"""What is asked of a model: its inputs, the outputs to be explained, and the state in which it answers."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from weightsmith.errors import InputError, MissingExtraError
from weightsmith.names import printable

Inputs = Tensor | NDArray[Any]
Targets = int | Sequence[int] | Tensor | NDArray[Any] | None


def captum() -> Any:
    """Captum's attribution methods.

    Raises:
        MissingExtraError: it is not installed.
    """
    try:
        import captum.attr
    except ImportError:
        raise MissingExtraError(
            "explaining what a model looks at needs captum: pip install 'weightsmith[explain]'"
        ) from None
    return captum.attr


@contextmanager
def answering(model: nn.Module) -> Iterator[Callable[[Tensor], Tensor]]:
    """The model in evaluation mode and with gradients on, whatever the caller has set, as a function of its inputs.

    Its parameters' own gradients stay as they are: only those of inputs and activations are asked for. What the
    function is given is copied, as a model may begin with a layer that works in place; one number for each row counts
    as one output.

    Raises:
        InputError: no module, one without values, or one that fails at what it is asked, with its own words.
    """
    if not isinstance(model, nn.Module):
        raise InputError(f"a {type(model).__name__} cannot be explained: give a torch.nn.Module")
    place = next((parameter.device for parameter in model.parameters()), torch.device("cpu"))
    if place.type == "meta":
        raise InputError("the model lies on the meta device and has no values: load its weights first")

    def answer(inputs: Tensor) -> Tensor:
        outputs: Tensor = model(inputs.clone())
        one_each = isinstance(outputs, Tensor) and outputs.shape == (len(inputs),)
        return outputs[:, None] if one_each else outputs

    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        with torch.inference_mode(mode=False), torch.enable_grad(), differentiable(model):
            yield answer
    except RuntimeError as error:
        reason = printable((str(error).splitlines() or [type(error).__name__])[0])
        raise InputError(f"the model cannot be explained on these inputs: {reason}") from error
    finally:
        for module, training in modes:
            module.training = training


@contextmanager
def differentiable(model: nn.Module) -> Iterator[None]:
    """Context without cuDNN for a model with recurrent layers, whose gradients it refuses in evaluation mode.

    By its switch alone: `torch.backends.cudnn.flags` would set precision and all else to defaults of its own as well.
    """
    before = torch.backends.cudnn.enabled
    torch.backends.cudnn.enabled = before and not any(isinstance(module, nn.RNNBase) for module in model.modules())
    try:
        yield
    finally:
        torch.backends.cudnn.enabled = before


def fitted(model: nn.Module, inputs: Inputs) -> Tensor:
    """A copy of the inputs on the device and in the precision of the model's first parameter.

    Raises:
        InputError: inputs that are no batch of floats, no rows, or NaN or Inf among them.
    """
    rows = torch.as_tensor(inputs).detach()
    if not rows.is_floating_point() or rows.dim() < 2:
        raise InputError(
            f"inputs of shape {list(rows.shape)} and type {rows.dtype} cannot be explained: give a batch of floats"
        )
    if not rows.numel():
        raise InputError(f"inputs of shape {list(rows.shape)} are empty: give at least one row")
    if not bool(torch.isfinite(rows).all()):
        raise InputError("the inputs hold NaN or Inf: replace them first")
    first = next((parameter for parameter in model.parameters() if parameter.is_floating_point()), rows)
    return rows.to(first.device, first.dtype, copy=True)


def ask(answer: Callable[[Tensor], Tensor], inputs: Tensor, targets: Targets) -> tuple[Tensor, Tensor]:
    """The outputs to be explained and the model's values there.

    Args:
        answer: of the model; gives (rows, outputs).
        inputs: (rows, *input_shape).
        targets: one output for all rows, one for each row, or None: for each row the output that is largest.

    Returns:
        int64[rows] and float[rows].

    Raises:
        InputError: a model without one row of finite outputs for each input, or targets that it does not have.
    """
    with torch.no_grad():
        outputs = answer(inputs)
    if not isinstance(outputs, Tensor) or outputs.dim() != 2 or len(outputs) != len(inputs):
        found = list(outputs.shape) if isinstance(outputs, Tensor) else f"a {type(outputs).__name__}"
        raise InputError(
            f"the model gives {found} for {len(inputs)} rows: wrap it, so that each row gets one row of outputs"
        )
    if not bool(torch.isfinite(outputs).all()):
        raise InputError("the model's outputs are NaN or Inf: there is nothing to explain")
    chosen = _chosen(outputs, targets)
    return chosen, outputs.gather(1, chosen[:, None])[:, 0]


def _chosen(outputs: Tensor, targets: Targets) -> Tensor:
    rows, count = outputs.shape
    if targets is None:
        return outputs.argmax(dim=1)
    try:
        given = torch.as_tensor(targets, device=outputs.device).reshape(-1)
    except (TypeError, ValueError) as error:
        raise InputError("targets are numbers of outputs: give one for all rows, or one for each") from error
    if given.is_floating_point() or given.is_complex() or given.dtype == torch.bool:
        raise InputError(f"targets are numbers of outputs, not {given.dtype}: give whole ones")
    given = given.to(torch.int64)
    given = given.expand(rows) if len(given) == 1 else given
    if len(given) != rows:
        raise InputError(f"{len(given)} targets for {rows} rows: give one for all, or one for each")
    if not (int(given.min()) >= 0 and int(given.max()) < count):
        wrong = next(target for target in given.tolist() if not 0 <= target < count)
        raise InputError(f"target {wrong} is not one of the model's {count} outputs (0 to {count - 1})")
    return given


def array(tensor: Tensor) -> NDArray[np.float32]:
    """Its values as float32 on the CPU."""
    return tensor.detach().to("cpu", torch.float32).numpy().copy()


def indices(tensor: Tensor) -> NDArray[np.int64]:
    """Its values as int64 on the CPU."""
    return tensor.detach().cpu().numpy().astype(np.int64)

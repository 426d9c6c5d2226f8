"""What is asked of a model: its inputs, the outputs to be explained, and the state in which it answers."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from weightsmith.errors import InputError, MissingExtraError

Targets = int | Sequence[int] | Tensor | None


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
def answering(model: nn.Module) -> Iterator[torch.device]:
    """The model in evaluation mode, with gradients on whatever the caller has set; its device.

    Its parameters' own gradients stay as they are: only those of inputs and activations are asked for. Recurrent
    layers on CUDA refuse gradients in evaluation mode unless cuDNN is off, so it is.
    """
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    place = next((parameter.device for parameter in model.parameters()), torch.device("cpu"))
    try:
        with torch.enable_grad(), torch.backends.cudnn.flags(enabled=place.type != "cuda"):
            yield place
    finally:
        for module, training in modes:
            module.training = training


def ask(model: nn.Module, inputs: Tensor, targets: Targets) -> tuple[Tensor, Tensor]:
    """The outputs to be explained and the model's values there.

    Args:
        model: answering; returns (rows, outputs).
        inputs: (rows, *input_shape).
        targets: one output for all rows, one for each row, or None: for each row the output that is largest.

    Returns:
        int64[rows] and float32[rows].

    Raises:
        InputError: inputs that are no floats or not finite, a model without one row of outputs for each input, or
            targets that it does not have.
    """
    if not inputs.is_floating_point() or inputs.dim() < 2:
        raise InputError(
            f"inputs of shape {list(inputs.shape)} and type {inputs.dtype} cannot be explained: give a batch of floats"
        )
    if not bool(torch.isfinite(inputs).all()):
        raise InputError("the inputs hold NaN or Inf: replace them first")
    with torch.no_grad():
        outputs = model(inputs)
    if not isinstance(outputs, Tensor) or outputs.dim() != 2 or len(outputs) != len(inputs):
        found = list(outputs.shape) if isinstance(outputs, Tensor) else type(outputs).__name__
        raise InputError(f"the model gives {found} for {len(inputs)} rows: one row of outputs for each is needed")
    chosen = _chosen(outputs, targets)
    return chosen, outputs.gather(1, chosen[:, None])[:, 0]


def _chosen(outputs: Tensor, targets: Targets) -> Tensor:
    rows, count = outputs.shape
    if targets is None:
        return outputs.argmax(dim=1)
    given = torch.as_tensor(targets, dtype=torch.int64, device=outputs.device).reshape(-1)
    given = given.expand(rows) if len(given) == 1 else given
    if len(given) != rows:
        raise InputError(f"{len(given)} targets for {rows} rows: give one for all, or one for each")
    if rows and not (int(given.min()) >= 0 and int(given.max()) < count):
        raise InputError(f"target {int(given.max())} is not one of the model's {count} outputs (0 to {count - 1})")
    return given


def array(tensor: Tensor) -> NDArray[np.float32]:
    """Its values as float32 on the CPU."""
    return tensor.detach().to("cpu", torch.float32).numpy().copy()


def indices(tensor: Tensor) -> NDArray[np.int64]:
    """Its values as int64 on the CPU."""
    return tensor.detach().cpu().numpy().astype(np.int64)

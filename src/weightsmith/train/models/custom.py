"""A model of the user's own: a function that the recipe names as `package.module:function`."""

import importlib
import inspect
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn

from weightsmith.errors import InputError
from weightsmith.names import suggestion

_FAILURES = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    ImportError,
    LookupError,
    NameError,
    OSError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
)
"""What code of the user's own may raise; the line we print names it, the traceback stays chained to it."""


def is_custom(name: str) -> bool:
    """Whether a model's name points to a function of the user's own."""
    return ":" in name


def find_builder(name: str, folder: str | None) -> Callable[..., nn.Module]:
    """The function at `package.module:function`.

    Args:
        name: its place.
        folder: where to look before Python's own path; None: the current folder.

    Raises:
        InputError: for a place that cannot be imported, or that holds nothing callable.
    """
    module_name, _, function = name.partition(":")
    check_form(name)
    with _searching(folder):
        try:
            module = importlib.import_module(module_name)
        except _FAILURES as error:
            raise InputError(f"model: '{module_name}' cannot be imported: {_cause(error)}") from error
    builder = getattr(module, function, None)
    if not callable(builder):
        public = [given for given in vars(module) if not given.startswith("_")]
        found = "holds no function" if builder is None else "holds no function but a value called"
        raise InputError(f"model: module '{module_name}' {found} '{function}'{suggestion(function, public)}")
    return builder  # type: ignore[no-any-return]


def check_form(name: str) -> None:
    """Refuse a place that is not of the form `package.module:function`.

    Raises:
        InputError: quoting it.
    """
    module, _, function = name.partition(":")
    if not all(part.isidentifier() for part in (*module.split("."), function)):
        raise InputError(f"model: '{name}' is not of the form package.module:function")


def build_custom(
    name: str,
    builder: Callable[..., Any],
    input_shape: tuple[int, ...],
    outputs: int,
    options: Mapping[str, Any],
    batch_norm: bool | None,
) -> nn.Module:
    """Call the user's function with `input_shape`, `outputs` and the recipe's options by name.

    `batch_norm` is passed where the recipe sets it and the function takes it.

    Raises:
        InputError: for an option that the function does not take, a call that fails, a result that is no module, or a
            module that does not map rows of `input_shape` to `outputs` numbers each.
    """
    parameters = inspect.signature(builder).parameters
    takes_all = any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in parameters.values())
    arguments = {"input_shape": input_shape, "outputs": outputs, **options}
    if batch_norm is not None:
        arguments["batch_norm"] = batch_norm
    for argument in arguments:
        if argument not in parameters and not takes_all:
            field = argument if argument in ("input_shape", "outputs", "batch_norm") else f"model.{argument}"
            taken = ", ".join(parameters) or "nothing"
            raise InputError(f"{field}: {name} does not take it, only {taken}{suggestion(argument, parameters)}")
    try:
        model = builder(**arguments)
    except _FAILURES as error:
        raise InputError(f"model: {name} failed: {_cause(error)}") from error
    if not isinstance(model, nn.Module):
        raise InputError(f"model: {name} must return a torch.nn.Module, but returned {type(model).__name__}")
    _try(model, name, input_shape, outputs)
    return model


def _try(model: nn.Module, name: str, input_shape: tuple[int, ...], outputs: int) -> None:
    """Read two rows of zeros, which also gives lazy layers their shapes."""
    was_training = model.training
    model.eval()
    try:
        with torch.no_grad():
            predicted = model(torch.zeros(2, *input_shape))
    except _FAILURES as error:
        raise InputError(f"model: {name} cannot read rows of shape {input_shape}: {_cause(error)}") from error
    model.train(was_training)
    if not isinstance(predicted, torch.Tensor):
        raise InputError(f"model: {name} must return a tensor for each batch, not {type(predicted).__name__}")
    if predicted.shape != (2, outputs):
        raise InputError(
            f"model: {name} must map 2 rows to a tensor of shape {(2, outputs)}, but gives {tuple(predicted.shape)}"
        )


def _cause(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}".removesuffix(": ")


@contextmanager
def _searching(folder: str | None) -> Iterator[None]:
    place = str(Path(folder or ".").resolve())
    sys.path.insert(0, place)
    importlib.invalidate_caches()
    try:
        yield
    finally:
        sys.path.remove(place)

"""Explanations by the gradient of an output with respect to the input."""

import torch
from torch import Tensor, nn

from weightsmith.errors import InputError
from weightsmith.explain.attribution import Attribution
from weightsmith.explain.question import Inputs, Targets, answering, array, ask, captum, fitted, indices

STEPS = 64
"""Points on the path from the baseline; the error that remains is reported for each row."""

AT_ONCE = 256
"""Rows that pass through the model together; fewer where they are long."""

NUMBERS = 1 << 24
"""Values of rows that pass through the model together."""


def saliency(model: nn.Module, inputs: Inputs, targets: Targets = None) -> Attribution:
    """Magnitude of the gradient of an output with respect to each value of the input.

    Simonyan, Vedaldi and Zisserman (2014), "Deep Inside Convolutional Networks", section 3.

    Args:
        model: returns (rows, outputs) or (rows,); its mode and its parameters' gradients are left as they are.
        inputs: float (rows, *input_shape), a tensor or array; taken in the model's precision.
        targets: one output for all rows, one for each, or None for the largest.

    Raises:
        InputError: inputs or targets that the model cannot take.
        MissingExtraError: captum is not installed.
    """
    methods = captum()
    with answering(model) as answer:
        rows = fitted(model, inputs)
        chosen, outputs = ask(answer, rows, targets)
        at_once = _at_once(rows)
        values = [
            methods.Saliency(answer).attribute(part.clone().requires_grad_(True), target=wanted)
            for part, wanted in zip(torch.split(rows, at_once), torch.split(chosen, at_once), strict=True)
        ]
    return Attribution("saliency", array(rows), array(torch.cat(values)), indices(chosen), array(outputs))


def integrated_gradients(
    model: nn.Module, inputs: Inputs, targets: Targets = None, *, baseline: Inputs | None = None, steps: int = STEPS
) -> Attribution:
    """What each value of the input adds to the output, on the way from a baseline.

    Sundararajan, Taly and Yan (2017), "Axiomatic Attribution for Deep Networks", equation 1. The values add up to
    output(input) - output(baseline); `Attribution.gap` says by how much they miss it.

    Args:
        model: returns (rows, outputs) or (rows,).
        inputs: float (rows, *input_shape).
        targets: as for `saliency`.
        baseline: (*input_shape), an input that says nothing; zeros by default, the mean of standardized data.
        steps: points on the path; the gap shrinks with more.

    Raises:
        InputError: inputs, targets or a baseline that the model cannot take.
        MissingExtraError: captum is not installed.
    """
    methods = captum()
    if steps < 2:
        raise InputError(f"{steps} steps make no path: give at least 2")
    with answering(model) as answer:
        rows = fitted(model, inputs)
        chosen, outputs = ask(answer, rows, targets)
        start = torch.zeros_like(rows[:1]) if baseline is None else torch.as_tensor(baseline).detach().to(rows)[None]
        if start.shape[1:] != rows.shape[1:]:
            raise InputError(f"a baseline of shape {list(start.shape[1:])} for inputs of shape {list(rows.shape[1:])}")
        values, gap = methods.IntegratedGradients(answer).attribute(
            rows,
            baselines=start,
            target=chosen,
            n_steps=steps,
            internal_batch_size=max(_at_once(rows), len(rows)),
            return_convergence_delta=True,
        )
    return Attribution("integrated gradients", array(rows), array(values), indices(chosen), array(outputs), array(gap))


def _at_once(rows: Tensor) -> int:
    return max(1, min(AT_ONCE, NUMBERS // rows[0].numel()))

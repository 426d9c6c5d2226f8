"""`weightsmith sensitivity`: what a trained model looks at in its input."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from weightsmith.cli.options import JsonOption, StoreOption, console, print_json

if TYPE_CHECKING:
    from torch import Tensor

    from weightsmith.explain import Attribution, Maximized
    from weightsmith.kinds import Sensitivity
    from weightsmith.train.rebuild import Rebuilt

DISCRETE = ("binary", "sparse")
METHODS = ("saliency", "integrated-gradients", "grad-cam", "maximize", *DISCRETE)
MOST_UNITS = 16


def sensitivity(
    reference: Annotated[str, typer.Argument(metavar="[RUN]", help="A run trained by weightsmith train.")] = "latest",
    *,
    method: Annotated[str, typer.Option("--method", "-m", help=f"One of {', '.join(METHODS)}.")] = METHODS[0],
    rows: Annotated[
        str, typer.Option("--rows", help="Rows of the test set (of the validation set where there is none): 0,3,8-11.")
    ] = "0-7",
    target: Annotated[
        int | None,
        typer.Option("--target", help="Output to explain.", show_default="each row's largest"),
    ] = None,
    layer: Annotated[
        str | None,
        typer.Option("--layer", help="For grad-cam a convolution, for maximize any layer.", show_default=False),
    ] = None,
    units: Annotated[
        str | None, typer.Option("--units", help="For maximize: 0,3,8-11.", show_default="the first 16")
    ] = None,
    sparsity: Annotated[float, typer.Option("--sparsity", help="For sparse: share of zeros in a layer.")] = 0.9,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Folder for the picture.", show_default="beside the run, in the store"),
    ] = None,
    picture_format: Annotated[str, typer.Option("--format", "-f", help="png, svg or pdf.")] = "png",
    theme: Annotated[str, typer.Option("--theme", help="light or dark.")] = "light",
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show what a model is sensitive to, drawn on its inputs: which pixels, moments or features decide.

    With `--method binary` or `sparse`: what it loses when one of its layers alone becomes binary, or loses the smallest
    weights.

    The model is built again from the run's recipe and filled with the weights it kept. For a model of your own call
    `weightsmith.explain` in Python.

    Examples: `weightsmith sensitivity`, `weightsmith sensitivity latest --method grad-cam --rows 0-11`,
    `weightsmith sensitivity latest --method maximize --units 0-9 --theme dark`,
    `weightsmith sensitivity latest --method sparse --sparsity 0.95`
    """
    from weightsmith.names import choose
    from weightsmith.plots import FORMATS, discretization, save
    from weightsmith.plots.sensitivity import draw_attribution, draw_maximized
    from weightsmith.plots.style import theme_named
    from weightsmith.plots.subject import run_line

    choose(method, METHODS, "method")
    choose(picture_format, FORMATS, "format")
    colors = theme_named(theme)
    from weightsmith.cli.options import open_store
    from weightsmith.train.rebuild import rebuild

    with open_store(store) as opened:
        run = opened.run(reference)
        rebuilt = rebuild(run)
    data, names = rebuilt.data, (rebuilt.data.feature_names, rebuilt.output_names)
    where = f"weights of step {rebuilt.step:,}"
    if method in DISCRETE:
        records, score, split = _discretized(method, rebuilt, sparsity)
        line = run_line(run, where, f"{split} rows of {data.name}")
        figure = discretization.draw(discretization.summarize(records, line, score), colors)
        facts = {"score": score, "layers": [record.to_json() for record in records]}
    elif method == "maximize":
        liked = _maximized(rebuilt, layer or "", units)
        figure, facts = draw_maximized(liked, colors, run_line(run, where), *names), liked.to_json()
    else:
        inputs, which = _rows(rebuilt, rows)
        found = _attribution(method, rebuilt, inputs, target, layer)
        line = run_line(run, where, f"{which} rows {rows}", data.name)
        figure, facts = draw_attribution(found, colors, line, *names), found.to_json()
    folder = output or run.files / "pictures"
    folder.mkdir(parents=True, exist_ok=True)
    path = save(figure, folder / f"sensitivity-{method}.{picture_format}")
    if as_json:
        print_json(run=run.id, step=rebuilt.step, picture=str(path), **facts)
    else:
        console().print(str(path), soft_wrap=True, markup=False)


def _rows(rebuilt: "Rebuilt", text: str) -> "tuple[Tensor, str]":
    import torch

    which, split = rebuilt.held_out
    inputs, _ = split.batch(torch.tensor(_numbers(text, len(split), "rows")))
    return inputs, which


def _discretized(method: str, rebuilt: "Rebuilt", sparsity: float) -> "tuple[list[Sensitivity], str, str]":
    """Records, the name of the score, and the split it is of."""
    from contextlib import nullcontext

    import torch
    from torch import nn

    from weightsmith.kinds import sensitivity as measure
    from weightsmith.train.evaluate import BATCH, Measured
    from weightsmith.train.feed import Feed
    from weightsmith.train.objective import OBJECTIVES
    from weightsmith.train.processes import Processes

    device = torch.device("cpu")
    which, split = rebuilt.held_out
    objective = OBJECTIVES[rebuilt.data.task]
    rows = Measured(Feed(split, device), objective, Processes(0, 1, device), BATCH)

    def evaluate(model: nn.Module) -> float:
        return rows.scores(model, nullcontext()).metric

    to: Literal["binary", "sparse"] = "binary" if method == "binary" else "sparse"
    return measure(rebuilt.model, evaluate, to=to, sparsity=sparsity), objective.metric, which


def _attribution(
    method: str, rebuilt: "Rebuilt", inputs: "Tensor", target: int | None, layer: str | None
) -> "Attribution":
    from weightsmith import explain
    from weightsmith.errors import InputError

    if method == "grad-cam":
        return explain.grad_cam(rebuilt.model, inputs, target, layer=layer)
    if layer is not None:
        raise InputError(f"--layer is for grad-cam and maximize: {method} explains the input itself")
    if method == "saliency":
        return explain.saliency(rebuilt.model, inputs, target)
    return explain.integrated_gradients(rebuilt.model, inputs, target)


def _maximized(rebuilt: "Rebuilt", layer: str, units: str | None) -> "Maximized":
    from weightsmith import explain

    if units is not None:
        chosen = _numbers(units, None, "units")
    else:
        count = explain.count_units(rebuilt.model, rebuilt.data.input_shape, layer)
        chosen = list(range(min(count, MOST_UNITS)))
    return explain.maximize_activation(rebuilt.model, rebuilt.data.input_shape, chosen, layer=layer)


def _numbers(text: str, count: int | None, what: str) -> list[int]:
    """The numbers that a list of numbers and ranges names: `0,3,8-11`."""
    from weightsmith.errors import InputError

    found: list[int] = []
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        if not (first.isdecimal() and (last.isdecimal() if dash else True)):
            raise InputError(f"--{what} {text}: give numbers and ranges, such as 0,3,8-11")
        found.extend(range(int(first), min(int(last or first), int(first) + 1000) + 1))
    if count is not None and (not found or max(found) >= count):
        raise InputError(f"--{what} {text}: there are {count} {what}, 0 to {count - 1}")
    if not found:
        raise InputError(f"--{what} {text}: names none")
    return found

"""`weightsmith train`: train what a recipe describes, record it, and say how it went."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from weightsmith.cli.options import JsonOption, StoreOption, console, print_json, read_note
from weightsmith.names import printable

if TYPE_CHECKING:
    from rich.console import Console

    from weightsmith.rules import Report
    from weightsmith.train import Recipe, TrainResult

LISTED_FEATURES = 10


def train(
    path: Annotated[
        Path | None,
        typer.Argument(metavar="[RECIPE]", help="A recipe in YAML.", show_default="an MLP on digits"),
    ] = None,
    *,
    changes: Annotated[
        list[str] | None,
        typer.Option("--set", "-s", metavar="KEY=VALUE", help="Change a field: optimizer.lr=0.01. May be repeated."),
    ] = None,
    name: Annotated[str | None, typer.Option(help="What to call the run.", show_default=False)] = None,
    tags: Annotated[
        list[str] | None, typer.Option("--tag", metavar="WORD", help="A word to find the run by. May be repeated.")
    ] = None,
    note: Annotated[
        str | None,
        typer.Option(metavar="TEXT", help="What to remember of the run; - reads standard input.", show_default=False),
    ] = None,
    resume: Annotated[
        str | None, typer.Option(metavar="RUN", help="Go on with a run that was stopped or killed.", show_default=False)
    ] = None,
    show_recipe: Annotated[bool, typer.Option("--show-recipe", help="Print the effective recipe and stop.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress.")] = False,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Train a network and record its weights.

    Exit code 0: trained; 1: the loss became NaN or infinite; 2: bad input; 130: stopped by Ctrl-C (see --resume).

    Examples: `weightsmith train`, `weightsmith train recipe.yaml --set budget.epochs=5`,
    `weightsmith train --set data=wine --set penalties.l1=0.01`, `weightsmith train --resume latest`
    """
    from weightsmith.errors import InputError

    labels = {"name": name, "tags": tags or [], "note": read_note(note)}
    if resume is not None:
        if path is not None or changes or show_recipe:
            raise InputError("--resume goes on with the run's own recipe: leave RECIPE, --set and --show-recipe out")
        _train(None, labels, resume=resume, store=store, quiet=quiet, as_json=as_json)
        return
    recipe = _recipe(path, changes or [])
    if show_recipe:
        print_json(recipe=recipe.effective()) if as_json else typer.echo(recipe.to_yaml().rstrip())
        return
    _train(recipe, labels, resume=None, store=store, quiet=quiet, as_json=as_json)


def _recipe(path: Path | None, changes: list[str]) -> "Recipe":
    from weightsmith.train.recipe import Recipe, load_recipe

    recipe = load_recipe(path) if path is not None else Recipe()
    return recipe.override(changes) if changes else recipe


def _train(
    recipe: "Recipe | None",
    labels: dict[str, Any],
    *,
    resume: str | None,
    store: str | None,
    quiet: bool,
    as_json: bool,
) -> None:
    from weightsmith.rules import check
    from weightsmith.store import Store
    from weightsmith.train import train as train_recipe

    with Store.open(store) as opened:
        result = train_recipe(recipe, store=opened, **labels, resume=resume, progress=not (quiet or as_json))
        report = check(opened.run(result.run_id)) if result.run_id and _leads() else None
    if as_json and _leads():
        print_json(**_facts(result, report))
    elif _leads():
        _print_result(result, report, console())
    raise typer.Exit({"interrupted": 130, "non_finite": 1}.get(result.ending, 0))


def _leads() -> bool:
    """Whether this is the process that reports; `torchrun` starts several."""
    import os

    return os.environ.get("RANK", "0") == "0"


def _facts(result: "TrainResult", report: "Report | None") -> dict[str, Any]:
    return {
        "run": result.run_id,
        "ending": result.ending,
        "verdict": result.verdict and result.verdict.to_json(),
        "metrics": result.metrics,
        "epochs": result.epochs,
        "steps": result.steps,
        "seconds": result.seconds,
        "recorder": result.recorder,
        "report": result.report.to_json(),
        "findings": [finding.to_json() for finding in report or ()],
    }


def _print_result(result: "TrainResult", report: "Report | None", out: "Console") -> None:
    from rich.markup import escape

    from weightsmith.cli.check import print_report

    out.print(f"\n[bold]{result.epochs} epochs, {result.steps} steps in {result.seconds:.1f} s.[/]")
    _print_scores(result, out)
    if result.verdict is not None:
        out.print(f"Verdict: [bold]{result.verdict.verdict}[/]. {escape(result.verdict.text)}")
    _print_sparsity(result, out)
    if result.recorder:
        out.print(_cost(result.recorder))
    if report is not None:
        out.print()
        print_report(report, out)
        out.print(
            f"\nRun {result.run_id}. See it: [bold]weightsmith plot[/]; check it again: [bold]weightsmith check[/]"
        )


def _cost(recorder: dict[str, Any]) -> str:
    """What recording cost; of a run of a second or two the start and the end alone take more than their share."""
    spent = recorder["share"] * recorder["training"]
    if recorder["budget"] and recorder["share"] > 1.5 * recorder["budget"] and spent < 1:
        return f"Recording took {spent:.2f} s, most of it at the start and the end: this run was short."
    return f"Recording took {recorder['share']:.1%} of the time."


def _print_scores(result: "TrainResult", out: "Console") -> None:
    from rich import box
    from rich.table import Table

    if result.best is None and result.last is None:
        return
    table = Table(box=box.SIMPLE_HEAD)
    metric = next((name[4:] for name in result.metrics if name.startswith("val_") and name != "val_loss"), "metric")
    for heading in ("weights", "validation loss", f"validation {metric}", "test loss", f"test {metric}"):
        table.add_column(heading, justify="left" if heading == "weights" else "right")
    for words, saved in (("best", result.best), ("last", result.last)):
        if saved is not None:
            test = (f"{saved.test.loss:.4f}", f"{saved.test.metric:.4f}") if saved.test else ("", "")
            scores = (f"{saved.validation.loss:.4f}", f"{saved.validation.metric:.4f}")
            table.add_row(f"{words} (step {saved.step})", *scores, *test)
    out.print(table)


def _print_sparsity(result: "TrainResult", out: "Console") -> None:
    from rich.markup import escape

    for zeros in result.report.zeros:
        if zeros.zeros and not zeros.name.endswith("bias"):
            out.print(
                f"{escape(zeros.name)}: {zeros.zeros} of {zeros.size} weights are exactly zero ({zeros.share:.1%})."
            )
    for optimality in result.report.optimality:
        out.print(f"{escape(optimality.name)}: KKT residual of the L1 problem {optimality.residual:.2e}.")
    if result.report.features and len(result.report.surviving) < len(result.report.features):
        kept = result.report.surviving
        named = ", ".join(
            f"{escape(printable(str(each.name)))} ({each.importance:.3g})" for each in kept[:LISTED_FEATURES]
        )
        more = f" and {len(kept) - LISTED_FEATURES} more" if len(kept) > LISTED_FEATURES else ""
        out.print(f"{len(kept)} of {len(result.report.features)} input features survive: {named}{more}.")

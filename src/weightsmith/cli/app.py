"""The `weightsmith` command: its commands in the order in which people need them, and one-line errors."""

import sys
import warnings

import typer

from weightsmith.cli.check import check
from weightsmith.cli.diff import diff
from weightsmith.cli.explain import explain
from weightsmith.cli.export import export
from weightsmith.cli.pack import pack
from weightsmith.cli.plot import plot
from weightsmith.cli.runs import runs
from weightsmith.cli.scan import scan
from weightsmith.cli.sensitivity import sensitivity
from weightsmith.cli.train import train
from weightsmith.cli.ui import ui
from weightsmith.errors import WeightsmithError
from weightsmith.names import printable

app = typer.Typer(
    name="weightsmith",
    help="The workbench for neural-network weights: train, record, see and check them.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for command in (train, runs, ui, export, scan, plot, check, diff, pack, sensitivity, explain):
    app.command()(command)


@app.callback(invoke_without_command=True)
def version(
    *,
    show: bool = typer.Option(False, "--version", help="Print the version and stop.", is_eager=True),
) -> None:
    """Train networks, record their weights within a budget, draw them and find what is wrong with them."""
    if show:
        from importlib.metadata import version as installed

        typer.echo(f"weightsmith {installed('weightsmith')}")
        raise typer.Exit


def main() -> None:
    """Run the command line; a mistake of the user's ends in one line on standard error and exit code 2."""
    warnings.showwarning = show_warning
    try:
        app()
    except WeightsmithError as error:
        sys.exit(fail(str(error)))
    except OSError as error:
        sys.exit(fail(describe(error)))
    except KeyboardInterrupt:
        sys.exit(130)


def show_warning(message: Warning | str, category: type[Warning], *_: object, **__: object) -> None:
    """Print a warning as one line, without the place in the code where it came up; deprecations are not a user's."""
    if not issubclass(category, DeprecationWarning):
        typer.echo(f"warning: {printable(str(message))}", err=True)


def fail(message: str) -> int:
    """Print each line of the message as an error and return the exit code of bad input."""
    for line in message.splitlines():
        typer.echo(f"error: {printable(line)}", err=True)
    return 2


def describe(error: OSError) -> str:
    """An operating system's error as a sentence that names the file."""
    reason = (error.strerror or str(error)).lower()
    return f"{error.filename}: {reason}" if error.filename else reason

"""`weightsmith export`: a view of the page as one HTML file to send."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from weightsmith.cli.options import JsonOption, StoreOption, console, print_json

if TYPE_CHECKING:
    from starlette.types import Message

    from weightsmith.cli.progress import CountingProgress
    from weightsmith.web.export import Place, Saved
    from weightsmith.web.library import Library


def export(
    reference: Annotated[
        str, typer.Argument(metavar="[RUN|RUN@STEP|FILE]", help="A run, its weights at a step, or any file of weights.")
    ] = "latest",
    *,
    weight: Annotated[
        str | None, typer.Option("--weight", "-w", metavar="NAME", help="Show this weight; of a run, as it ended.")
    ] = None,
    compare: Annotated[
        list[str] | None,
        typer.Option(
            "--compare", "-c", metavar="RUN|RUN@STEP|FILE", help="Show this beside the first; may be repeated."
        ),
    ] = None,
    view: Annotated[
        str | None,
        typer.Option(
            "--view",
            metavar="ADDRESS",
            help="A view of the page by its address in the browser, or what follows its ? for the view that is shown.",
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="OUT", help="File to write.", show_default="NAME.html"),
    ] = None,
    budget: Annotated[
        float,
        typer.Option("--budget", min=1, max=1000, metavar="MB", help="Megabytes that the file may have."),
    ] = 25,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Save a view of the page as one HTML file that opens anywhere, without a server or network.

    The file is the page of `weightsmith ui` with the data of that view inside: curves are zoomed,
    tables sorted and values read as there. It names the store or file that it comes from. What has
    no room is left out, of large matrices what lies far from the place that is shown. A file that
    was saved before is written anew; any other is left alone.

    Examples: `weightsmith export`, `weightsmith export latest --view '?tab=layers'`,
    `weightsmith export model.safetensors --weight head.weight -o head.html`,
    `weightsmith export mnist-a --compare mnist-b`, `weightsmith export a.gguf -c a.safetensors`,
    `weightsmith export --view '#/source/s0~RUN~400?as=depth'`
    """
    from weightsmith.cli.export_view import shown
    from weightsmith.cli.progress import CountingProgress
    from weightsmith.rules.baseline import write_whole
    from weightsmith.web.export import MEGABYTE

    _refuse_target(output)
    with (
        shown(reference, weight, compare or [], view, store) as (library, place),
        CountingProgress("saving", shown=not as_json, of="answers") as progress,
    ):
        saved = _save(library, place, int(budget * MEGABYTE), progress)
    target = output or Path(saved.file_name)
    _refuse_target(target)
    write_whole(target, saved.html)
    size = target.stat().st_size
    if as_json:
        print_json(
            file=str(target),
            view=str(place),
            title=saved.title,
            bytes=size,
            answers=saved.answers,
            left_out=saved.left_out,
        )
        return
    out = console()
    out.print(f"{target}: {saved.title}, {size / MEGABYTE:.1f} MB", soft_wrap=True, markup=False)
    if saved.left_out:
        left = ", ".join(saved.left_out)
        out.print(f"Some or all had no room (see --budget): {left}", style="dim", soft_wrap=True, markup=False)


def _save(library: "Library", place: "Place", budget: int, progress: "CountingProgress") -> "Saved":
    import asyncio

    from weightsmith.rules import Configuration
    from weightsmith.web.app import create_app
    from weightsmith.web.export import save
    from weightsmith.web.served import Served

    async def never() -> "Message":
        await asyncio.Event().wait()  # whoever waits for this file does not leave
        raise AssertionError

    async def saved() -> "Saved":
        app = create_app(Served(library, Configuration.find()))
        return await save(app, place, never, budget=budget, progress=progress)

    return asyncio.run(saved())


def _refuse_target(target: Path | None) -> None:
    """Refuse early what could not be written, and what is there and was not saved by this command.

    Raises:
        InputError: it is a folder, its folder is not there, or it is another's file.
    """
    from weightsmith.errors import InputError
    from weightsmith.names import printable
    from weightsmith.web.export import is_saved

    if target is None:
        return
    name = printable(str(target))
    if target.is_dir():
        raise InputError(f"{name} is a folder: give a file to write with -o")
    if not target.parent.is_dir():
        raise InputError(f"{name}: there is no folder {printable(str(target.parent))}: make it first")
    if target.is_file() and not is_saved(target):
        raise InputError(f"{name} is there and is no page that was saved here: give another file with -o")

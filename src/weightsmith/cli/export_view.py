"""Which view of the page `weightsmith export` is asked for, and what is served for it."""

import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from weightsmith.cli.options import open_store
from weightsmith.cli.subject import is_weights_reference, subject
from weightsmith.errors import InputError
from weightsmith.names import printable, suggestion
from weightsmith.scan import Cache, cache_folder
from weightsmith.store import Run
from weightsmith.web.export import Place
from weightsmith.web.library import Library, snapshot_id

MOST = 8
"""Runs and files that the page compares."""

_STEP = re.compile(r"(?P<run>.+)@(?P<step>\d+)")


@contextmanager
def shown(
    reference: str, weight: str | None, compare: list[str], view: str | None, store: str | None
) -> Iterator[tuple[Library, Place]]:
    """What is served, and the view of it that is asked for.

    Args:
        reference: a run, `RUN@STEP`, or a file of weights.
        weight: the name of a weight in it.
        compare: what else is shown beside it: runs, `RUN@STEP` or files.
        view: an address of the page, or parameters from a `?` on.
        store: where runs are kept; None for the user's own.

    Raises:
        InputError: options do not go together, or there is no such weight.
        SourceError, StoreError: a file does not open, or a run is not there.
    """
    if compare and weight is not None:
        raise InputError("--compare shows several and --weight one weight: give one of the two")
    references = [reference, *compare]
    if len(references) > MOST:
        raise InputError(f"{len(references)} are too many to compare: the page takes {MOST}")
    files = {f"f{place}": one for place, one in enumerate(filter(is_weights_reference, references))}
    with ExitStack() as stack:
        stores = {} if len(files) == len(references) else {"s0": stack.enter_context(open_store(store))}
        library = Library(stores, files, Cache(cache_folder(store)))
        if view is not None and "#" in view:
            yield library, Place.parsed(view)
            return
        if compare:
            ids = iter(files)
            address = "#/compare?" + "&".join(
                f"source={next(ids)}" if is_weights_reference(one) else _compared(one, store) for one in references
            )
        elif files or weight is not None or _step(reference):
            source = "f0" if files else _snapshot(reference, store)
            address = f"#/source/{source}" + ("" if weight is None else f"/weight/{_index(library, source, weight)}")
        else:
            address = f"#/run/s0/{_run(reference, store).id}"
        yield library, Place.parsed(address + _parameters(view, more="?" in address))


def _compared(reference: str, store: str | None) -> str:
    """A run or its weights at a step as a comparison's address names it."""
    return f"source={_snapshot(reference, store)}" if _step(reference) else f"run=s0~{_run(reference, store).id}"


def _parameters(view: str | None, *, more: bool) -> str:
    """What follows the address of a view."""
    if view is None:
        return ""
    if not view.startswith("?"):
        raise InputError(
            f"--view '{printable(view[:80])}' is no address: it begins with ? or has a #, as in the browser"
        )
    return ("&" if more else "?") + view[1:]


def _run(reference: str, store: str | None) -> Run:
    with subject(reference, store) as run:
        assert isinstance(run, Run)  # files have been told apart before
        return run


def _step(reference: str) -> "re.Match[str] | None":
    return _STEP.fullmatch(reference)


def _snapshot(reference: str, store: str | None) -> str:
    """The id of a run's weights: at the step that is named, or the last ones."""
    named = _step(reference)
    with subject(named["run"] if named else reference, store) as run:
        assert isinstance(run, Run)
        steps = [snapshot.step for snapshot in run.snapshots()]
        if not steps:
            raise InputError(f"run {run.id} has kept no snapshot of its weights")
        step = int(named["step"]) if named else steps[-1]
        if step not in steps:
            raise InputError(f"run {run.id} has no snapshot at step {step}: it has {', '.join(map(str, steps[:20]))}")
        return snapshot_id("s0", run.id, step)


def _index(library: Library, source: str, name: str) -> int:
    """The place of a weight."""
    opened = library.source(source)
    names = [weight.name for weight in opened.weights]
    if name not in names:
        label = printable(opened.source.label)
        raise InputError(f"{label} has no weight '{printable(name[:200])}'{suggestion(name, names)}")
    return names.index(name)

"""The bars that long work shows, on standard error and only in a terminal: over bytes, or over steps."""

from types import TracebackType

from weightsmith.cli.options import console
from weightsmith.names import printable

PATIENCE = 0.7
"""Seconds before the bar appears: what ends sooner needs none."""


ROOMY = 80
"""Columns of a terminal from which the bar also says how long it will take, and what is read."""


class ReadingProgress:
    """A bar over bytes, gone when all is read. Call it with the bytes done, all bytes, and what follows.

    Args:
        action: what is being done: "scanning", "comparing".
        shown: False where only the result is wanted, as for `--json`.
    """

    def __init__(self, action: str, *, shown: bool) -> None:
        from rich.progress import (
            BarColumn,
            DownloadColumn,
            Progress,
            ProgressColumn,
            TextColumn,
            TimeRemainingColumn,
            TransferSpeedColumn,
        )
        from rich.table import Column

        err = console(stderr=True)
        columns: list[ProgressColumn] = [
            TextColumn(action, table_column=Column(no_wrap=True, min_width=len(action))),
            BarColumn(bar_width=min(40, max(4, err.width - 50))),
            DownloadColumn(table_column=Column(no_wrap=True)),
            TransferSpeedColumn(table_column=Column(no_wrap=True)),
        ]
        if err.width >= ROOMY:
            columns += [TimeRemainingColumn(), TextColumn("{task.description}", markup=False)]
        self._bar = Progress(*columns, console=err, transient=True, disable=not (shown and err.is_terminal))
        self._task = self._bar.add_task("", total=None, visible=False)

    def __enter__(self) -> "ReadingProgress":
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def __call__(self, done: int, total: int, following: str) -> None:
        """Move the bar."""
        task = self._bar.tasks[0]
        late = task.elapsed is not None and task.elapsed > PATIENCE
        self._bar.update(self._task, completed=done, total=total, description=printable(following)[-40:], visible=late)


class CountingProgress:
    """A bar over steps, gone when all are done. Call it with the steps done, all steps, and what follows.

    Args:
        action: what is being done, until the first call says more.
        shown: False where only the result is wanted, as for `--json`.
        of: what the steps are, where how many are done in a second is of interest.
    """

    def __init__(self, action: str, *, shown: bool, of: str = "") -> None:
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, TextColumn, TimeElapsedColumn

        columns: list[ProgressColumn] = [TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn()]
        columns += [TextColumn("{task.fields[rate]}")] if of else []
        columns.append(TimeElapsedColumn())
        self._of = of
        err = console(stderr=True)
        self._bar = Progress(*columns, console=err, transient=True, disable=not (shown and err.is_terminal))
        self._task = self._bar.add_task(action, total=None, rate="")

    def __enter__(self) -> "CountingProgress":
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def __call__(self, done: int, total: int, following: str) -> None:
        """Move the bar."""
        from rich.markup import escape

        speed = self._bar.tasks[0].speed
        rate = "" if speed is None else f"{speed:.3g} {self._of}/s"
        self._bar.update(self._task, completed=done, total=total, description=escape(following), rate=rate)

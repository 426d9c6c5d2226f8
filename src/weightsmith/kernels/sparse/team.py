"""The loops over rows of a sparse weight, in parts that a team of threads shares (see `kernels.team`)."""

from typing import Any

from numba import njit

from weightsmith.kernels.shared_words import task_of
from weightsmith.kernels.sparse.rows import gather_rows, multiply_panel
from weightsmith.kernels.team import together


@njit(nogil=True, cache=True)
def _gather_part(arguments: Any, part: int) -> None:
    (block, rows), work = arguments
    gather_rows(*work, part * block, min((part + 1) * block, rows))  # type: ignore[call-arg]


_gather_task = task_of(_gather_part)


@njit(nogil=True, cache=True)
def gather_together(team: Any, cut: Any, work: Any) -> None:
    """All rows of `gather_rows`, by blocks.

    Args:
        team: as of `kernels.team.team`.
        cut: rows of a block, and all rows.
        work: arguments of `gather_rows` before its rows.
    """
    arguments = (cut, work)
    parts = -(-cut[1] // cut[0])
    if not together(team, _gather_task(arguments), parts):
        for part in range(parts):
            _gather_part(arguments, part)


@njit(nogil=True, cache=True)
def _panel_part(arguments: Any, part: int) -> None:
    (block, rows), panels, head, tail = arguments
    blocks = -(-rows // block)
    first = part % blocks * block
    multiply_panel(panels, part // blocks, *head, *tail, first, min(first + block, rows), 0)  # type: ignore[call-arg]


_panel_task = task_of(_panel_part)


@njit(nogil=True, cache=True)
def panels_together(team: Any, cut: Any, count: int, panels: Any, head: Any, tail: Any) -> None:
    """All rows of `multiply_panel` with all panels, by blocks of rows.

    Args:
        team: as of `kernels.team.team`.
        cut: rows of a block, and all rows.
        count: of panels.
        panels: as `fill_panels` made them.
        head: length, vectors and batch.
        tail: the other arguments of `multiply_panel`, before its rows.
    """
    arguments = (cut, panels, head, tail)
    parts = -(-cut[1] // cut[0]) * count
    if not together(team, _panel_task(arguments), parts):
        for part in range(parts):
            _panel_part(arguments, part)

"""What changed between two sources of weights."""

from weightsmith.analysis.diff.change import Change, RowChange
from weightsmith.analysis.diff.diff import Diff, diff
from weightsmith.analysis.diff.rank import ChangeRank

__all__ = ["Change", "ChangeRank", "Diff", "RowChange", "diff"]

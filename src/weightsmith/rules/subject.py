"""What rules look at: weights, read once for all rules, and the run they come from where there is one."""

from collections.abc import Callable, Collection, Iterator, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from weightsmith.errors import InputError, SourceError
from weightsmith.sketch import Sketch
from weightsmith.sources import Source, Weight
from weightsmith.weight import MATRIX_ROLES, Role

if TYPE_CHECKING:
    from weightsmith.analysis.rows import RowStatistics
    from weightsmith.rules.rule import Rule
    from weightsmith.scan import Cache
    from weightsmith.store import Run

Progress = Callable[[int, int, str], None]
"""Told as work goes on: bytes done, bytes in all, and the weight or rule at hand."""


class NotCheckedError(Exception):
    """Raised by a rule that lacks what it needs; the reason is listed with the findings, never dropped."""


class UnreadableError(NotCheckedError):
    """Raised when a rule asks for the values of a weight that has none to give (packed, on the meta device, ...).

    Rules that walk over `Subject.each` or `Subject.require_weights` never meet such a weight.
    """


class Subject:
    """What is checked: weights, and the run they come from where there is one.

    All rules share one streaming pass over the weights. Weights that this pass could not read are listed in the
    report once, with the reason, and handed to no rule. A rule then says by `skip` which weights it did not judge
    for a reason of its own; weights that its documentation leaves out (other roles, too small) need no mention.

    Args:
        weights: everything that is to be judged, or None for a run without a snapshot.
        run: the run they come from.
        thresholds: by rule code, what a configuration puts in place of that rule's defaults.
        progress: told about the pass as it goes on.
        threads: most threads to read with; by default all the process may use.
        cache: where the pass over the same content is looked up and kept.
    """

    def __init__(
        self,
        weights: Source | None,
        run: "Run | None" = None,
        *,
        thresholds: Mapping[str, Mapping[str, float]] | None = None,
        progress: Progress | None = None,
        threads: int | None = None,
        cache: "Cache | None" = None,
    ) -> None:
        self.source = weights
        self.run = run
        self.skipped: dict[tuple[str, str], list[str]] = {}
        self._thresholds = thresholds or {}
        self._progress = progress
        self._threads = threads
        self._cache = cache
        self._rows: dict[str, RowStatistics] = {}
        self._total = 0

    @cached_property
    def weights(self) -> Source | None:
        """The weights whose values can be read, as a source; None where there is no source at all."""
        if self.source is None:
            return None
        readable = [weight for weight in self.source.values() if weight.name in self._sketches]
        source = self.source
        return Source(
            source.label,
            readable,
            source.metadata,
            file_format=source.file_format,
            aside=source.aside,
            files=source.files,
        )

    @property
    def unreadable(self) -> dict[str, str]:
        """Why, for each weight whose values cannot be read."""
        return self._scanned[1]

    def require_run(self) -> "Run":
        """The run, for rules about how weights move."""
        if self.run is None:
            raise NotCheckedError("needs a recorded run, not weights alone")
        return self.run

    def require_weights(self) -> Source:
        """The readable weights, for rules about their values."""
        if self.weights is None:
            raise NotCheckedError("the run has no snapshot of its weights yet")
        return self.weights

    def each(
        self,
        *,
        roles: Collection[Role] = MATRIX_ROLES,
        least_size: int = 1,
        least_axes: int = 0,
        tied: bool = False,
    ) -> Iterator[Weight]:
        """The readable weights that a rule is about, in the order of the source.

        Args:
            roles: what they do in their layers.
            least_size: fewest elements.
            least_axes: fewest dimensions.
            tied: whether to hand out weights that share the storage of an earlier one as well; otherwise each fault is
                reported once, under the first name.

        Raises:
            NotCheckedError: there are no weights, or none that can be read.
        """
        source = self.require_weights()
        if self.unreadable and not source:
            raise NotCheckedError("no weight could be read")
        for weight in source.values():
            fits = weight.role in roles and weight.size >= least_size and len(weight.shape) >= least_axes
            if fits and (tied or weight.info.tied_to not in source):
                yield weight

    def sketch(self, weight: Weight) -> Sketch:
        """The sketch of one of the weights, from the one pass that all rules share.

        Raises:
            UnreadableError: its values cannot be read; `unreadable` says why.
        """
        if weight.name not in self._sketches:
            raise UnreadableError(f"{weight.name}: {self.unreadable[weight.name]}")
        return self._sketches[weight.name]

    def rows(self, weight: Weight) -> "RowStatistics":
        """Statistics of each row (neuron, filter, token) of one of the weights, computed for the first who asks.

        Raises:
            InputError: it has too many rows, which a rule should list by `skip`.
        """
        if weight.name not in self._rows:
            from weightsmith.analysis.rows import row_statistics

            self.tell(weight.name)
            self._rows[weight.name] = row_statistics(weight, self._threads)
        return self._rows[weight.name]

    def matrix(self, weight: Weight) -> NDArray[Any]:
        """All values as a matrix, one row for each neuron or filter whatever the format's order; not kept.

        A view where the layout allows it; (neurons, inputs) in the weight's own dtype. Check the size first: a rule
        stays within bounded memory by skipping what is too large for it, with a reason.
        """
        array = weight.read()
        if array.ndim < 2:
            return array.reshape(-1, 1)
        array = np.moveaxis(array, weight.info.output_axis, 0)
        return array.reshape(array.shape[0], -1) if array.size else array.reshape(array.shape[0], 0)

    def threshold(self, rule: "Rule", name: str) -> float:
        """The value in force of one of a rule's thresholds: the configuration's, else the rule's own default."""
        assert name in rule.thresholds, f"{rule.code} declares no threshold called {name}"
        return self._thresholds.get(rule.code, {}).get(name, rule.thresholds[name])

    def skip(self, rule: "Rule", weight: str, reason: str) -> None:
        """List a weight that a rule should have judged and did not; equal reasons are shown together.

        Args:
            rule: the rule that left it out.
            weight: its name.
            reason: a few words without numbers of this one weight: `packed float4`, `over 100 million values`.
        """
        self.skipped.setdefault((rule.code, reason), []).append(weight)

    def tell(self, what: str) -> None:
        """Show what is being worked on now that all bytes have been read."""
        if self._progress is not None:
            self._progress(self._total, self._total, what)

    @property
    def _sketches(self) -> dict[str, Sketch]:
        return self._scanned[0]

    @cached_property
    def _scanned(self) -> tuple[dict[str, Sketch], dict[str, str]]:
        if self.source is None:
            return {}, {}
        from weightsmith.scan import scan

        found = scan(self.source, threads=self._threads, progress=self._watch, cache=self._cache)
        for summary in found.unread:
            _refuse_damage(self.source[summary.name])
        return found.sketches, {summary.name: summary.reason or "" for summary in found.unread}

    def _watch(self, done: int, total: int, what: str) -> None:
        self._total = total
        if self._progress is not None:
            self._progress(done, total, what)


def _refuse_damage(weight: Weight) -> None:
    """Raise the error of a weight whose bytes are not there: no verdict may pass over a damaged file.

    Weights that are whole and have no values to give (packed types, the meta device) raise nothing.
    """
    try:
        for _ in weight.blocks():
            pass
    except SourceError:
        raise
    except InputError:
        return

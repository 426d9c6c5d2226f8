"""What was recorded and is not yet written."""

from weightsmith.store.records import Event, SketchRecord

SeriesKey = tuple[str, str | None]

LIMIT_VALUES = 50_000
LIMIT_SKETCHES = 1_000


class Buffer:
    """Series values, sketches and events on their way to the store.

    Attributes:
        loss_steps: steps of the series `loss`; whoever cannot afford a call of `add` appends here,
        loss_values: and here.
        sketches: sketches held.
        events: events held.
    """

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """Forget everything, once it is written or given up."""
        self.loss_steps: list[int] = []
        self.loss_values: list[float] = []
        self.sketches: list[SketchRecord] = []
        self.events: list[Event] = []
        self._added = 0
        self._series: dict[SeriesKey, tuple[list[int], list[float]]] = {
            ("loss", None): (self.loss_steps, self.loss_values)
        }

    def add(self, name: str, weight: str | None, step: int, value: float) -> None:
        """Append one value to a series."""
        series = self._series.get((name, weight))
        if series is None:
            series = self._series[(name, weight)] = ([], [])
        series[0].append(step)
        series[1].append(value)
        self._added += 1

    @property
    def series(self) -> dict[SeriesKey, tuple[list[int], list[float]]]:
        """Steps and values by series name and weight."""
        return {key: series for key, series in self._series.items() if series[0]}

    @property
    def full(self) -> bool:
        """Whether it has to be written before more comes: memory stays bounded whatever the budget."""
        return self._added + len(self.loss_steps) >= LIMIT_VALUES or len(self.sketches) >= LIMIT_SKETCHES

    @property
    def values(self) -> int:
        """Number of series values held."""
        return sum(len(steps) for steps, _ in self._series.values())

    def __bool__(self) -> bool:
        return bool(self._added or self.loss_steps or self.sketches or self.events)

    def __str__(self) -> str:
        return f"{self.values} values, {len(self.sketches)} sketches, {len(self.events)} events"

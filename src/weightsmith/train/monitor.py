"""The monitor's state over one training; its rules are in `weightsmith.analysis.monitor`."""

from dataclasses import asdict
from typing import Any, Self

from weightsmith.analysis.monitor import Curve, Diagnosis, diagnose


class Monitor:
    """Watches the epoch series of one training; `update` once an epoch, and `finish` once at its end."""

    def __init__(self, baseline: float) -> None:
        self.curve = Curve(max(baseline, 1e-12))
        self.current: Diagnosis | None = None

    def update(self, step: int, train: float, validation: float) -> Diagnosis | None:
        """Add an epoch; the new diagnosis where the verdict changed (or is the first), else None."""
        self.curve.add(step, train, validation)
        return self._change_to(diagnose(self.curve))

    def finish(self) -> Diagnosis | None:
        """Judge the finished training; the new diagnosis where the verdict changed, else None."""
        return self._change_to(diagnose(self.curve, ended=True)) if self.curve.steps else None

    def _change_to(self, diagnosis: Diagnosis) -> Diagnosis | None:
        changed = self.current is None or self.current.verdict != diagnosis.verdict
        self.current = diagnosis
        return diagnosis if changed else None

    def state_dict(self) -> dict[str, Any]:
        """All of it as plain values, for a checkpoint."""
        return {"curve": asdict(self.curve), "current": self.current and self.current.to_json()}

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> Self:
        """The monitor that `state_dict` described."""
        monitor = cls(state["curve"]["baseline"])
        monitor.curve = Curve(**state["curve"])
        monitor.current = Diagnosis(**state["current"]) if state["current"] else None
        return monitor

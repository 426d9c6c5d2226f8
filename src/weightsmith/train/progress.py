"""What a person sees while a training runs: a live line on a terminal, plain lines elsewhere, or nothing."""

import time
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

REFRESH = 0.2
"""Seconds between two drawings of the live line."""
LINE_EVERY = 1.0
"""Seconds between two plain lines; the first and the last epoch always get one."""


class Display(Protocol):
    """Where the loop reports how far it is."""

    def step(self, share: float, loss: float, steps: int) -> None:
        """A step is done; called about every `REFRESH` seconds, not at each step."""

    def epoch(self, epoch: int, values: dict[str, float]) -> None:
        """An epoch is done; `values` by the names of their series."""

    def say(self, text: str) -> None:
        """A sentence the user should read, such as a verdict."""

    def close(self) -> None:
        """The training is over."""


def display(*, shown: bool) -> Display:
    """The display that suits standard error: a terminal or not; a silent one where nothing is to be shown."""
    if not shown:
        return Silent()
    console = Console(stderr=True)
    return Live(console) if console.is_terminal else Lines(console)


class Silent:
    """Shows nothing."""

    def step(self, share: float, loss: float, steps: int) -> None:
        """Nothing."""

    def epoch(self, epoch: int, values: dict[str, float]) -> None:
        """Nothing."""

    def say(self, text: str) -> None:
        """Nothing."""

    def close(self) -> None:
        """Nothing."""


class Lines:
    """One plain line an epoch, at most one a second."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._last = 0.0
        self._held: str | None = None

    def step(self, share: float, loss: float, steps: int) -> None:
        """Nothing: a log file does not want a line a step."""

    def epoch(self, epoch: int, values: dict[str, float]) -> None:
        """Print the epoch, or hold it back until the next is due."""
        line = describe(epoch, values)
        if time.monotonic() - self._last < LINE_EVERY:
            self._held = line
        else:
            self._print(line)

    def say(self, text: str) -> None:
        """Print the sentence."""
        self._release()
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)

    def close(self) -> None:
        """Print what was held back."""
        self._release()

    def _release(self) -> None:
        if self._held is not None:
            self._print(self._held)

    def _print(self, line: str) -> None:
        self._last, self._held = time.monotonic(), None
        self._console.print(line, markup=False, highlight=False, soft_wrap=True)


class Live:
    """A bar with the latest numbers, redrawn at most five times a second."""

    def __init__(self, console: Console) -> None:
        columns = (
            BarColumn(12),
            TaskProgressColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.description}", markup=False),
        )
        self._bar = Progress(*columns, console=console, auto_refresh=False)
        self._task = self._bar.add_task("starting", total=1.0)
        self._epoch = ""
        self._bar.start()

    def step(self, share: float, loss: float, steps: int) -> None:
        """Move the bar and show the loss of the step."""
        text = f"{self._epoch}  | step {steps} loss {loss:.4g}" if self._epoch else f"step {steps} loss {loss:.4g}"
        self._bar.update(self._task, completed=share, description=text)
        self._bar.refresh()

    def epoch(self, epoch: int, values: dict[str, float]) -> None:
        """Keep the epoch's numbers; the next step draws them."""
        shown = {name: value for name, value in values.items() if name not in _LEFT_OUT}
        self._epoch = describe(epoch, shown)

    def say(self, text: str) -> None:
        """Print the sentence above the bar."""
        self._bar.console.print(text, markup=False, highlight=False)

    def close(self) -> None:
        """Draw the last state and leave it on the screen."""
        self._bar.update(self._task, description=self._epoch or "done")
        self._bar.refresh()
        self._bar.stop()


_LEFT_OUT = ("train_accuracy", "train_r2")
"""What the live line has no room for."""

_SHARES = ("accuracy", "recorder_share")


def describe(epoch: int, values: dict[str, float]) -> str:
    """An epoch in one line: `epoch 3  train loss 0.21  val loss 0.3  val accuracy 91.2 %  ...`."""
    parts = [f"epoch {epoch}"]
    for name, value in values.items():
        if name == "epoch":
            continue
        shown = f"{100 * value:.1f} %" if name.endswith(_SHARES) else f"{value:.4g}"
        parts.append(f"{_label(name)} {shown}")
    return "  ".join(parts)


def _label(name: str) -> str:
    return {"steps_per_second": "steps/s", "recorder_share": "recorder", "learning_rate": "lr"}.get(
        name, name.replace("_", " ")
    )

"""Running the command line inside the test's own process."""

import sys
from collections.abc import Callable
from typing import NamedTuple

import pytest

from weightsmith.cli.app import main


class Outcome(NamedTuple):
    """What a command left: its exit code and what it printed."""

    code: int
    out: str
    err: str


@pytest.fixture
def weightsmith(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Outcome]:
    """Run `weightsmith ARGUMENTS` and return its outcome."""
    monkeypatch.setenv("COLUMNS", "160")

    def run(*arguments: object) -> Outcome:
        monkeypatch.setattr(sys, "argv", ["weightsmith", *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as stop:
            main()
        printed = capsys.readouterr()
        return Outcome(int(stop.value.code or 0), printed.out, printed.err)

    return run


@pytest.fixture
def trained(weightsmith, tmp_path):
    """A store with one short training on digits in it."""
    location = tmp_path / "runs"
    changes = ["model.hidden=[16]", "budget.epochs=2", "threads=1"]
    options = [part for change in changes for part in ("--set", change)]
    outcome = weightsmith("train", "--store", location, "--name", "first", "--quiet", *options)
    assert outcome.code == 0, outcome.err
    return location

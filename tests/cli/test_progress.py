import io

import pytest
from rich.console import Console

from weightsmith.cli import progress
from weightsmith.cli.progress import ReadingProgress


@pytest.mark.parametrize("width", [30, 60, 79, 80, 200])
def test_the_bar_fits_on_one_line(monkeypatch, width):
    text = io.StringIO()
    terminal = Console(file=text, force_terminal=True, width=width, color_system=None)
    monkeypatch.setattr(progress, "console", lambda **_: terminal)
    monkeypatch.setattr(progress, "PATIENCE", -1.0)
    with ReadingProgress("scanning", shown=True) as bar:
        for done in range(0, 65 << 30, 8 << 30):
            bar(done, 64 << 30, "model.layers.0.\x1b[31m.weight")
            bar._bar.refresh()  # every state is drawn, not those that the clock happens to pick
    shown = [line for line in text.getvalue().replace("\r", "\n").splitlines() if "scanning" in line]
    assert shown
    assert not [line for line in text.getvalue().replace("\r", "\n").splitlines() if line.strip() == "GB"]
    assert ("layers.0" in text.getvalue()) == (width >= progress.ROOMY)
    assert "\x1b[31m" not in text.getvalue()


def test_without_a_terminal_nothing_is_shown(capsys):
    with ReadingProgress("scanning", shown=True) as bar:
        bar(1, 2, "w")
    assert capsys.readouterr() == ("", "")

"""Write the pages that are made from the code: `python docs/build.py`. A test checks that they are up to date."""

import os
from pathlib import Path

os.environ.update(NO_COLOR="1", TERM="dumb", COLUMNS="100", TERMINAL_WIDTH="100")

from typer.main import get_command
from typer.testing import CliRunner

from weightsmith.cli.app import app
from weightsmith.rules import RULES, Rule, calibration, explain

FOLDER = Path(__file__).parent


def rules_page() -> str:
    """All rules with their documentation."""
    contents = "\n".join(
        f"| [{rule.code}](#{rule.code.lower()}-{rule.name}) | {rule.name} | {rule.severity} | {rule.summary} "
        f"| {_thresholds(rule)} | {_false_alarms(rule)} |"
        for rule in RULES.values()
    )
    texts = "\n".join(explain(code).replace("\n## ", "\n### ").replace("# WS", "## WS", 1) for code in RULES)
    return (
        "# Rules\n\nMade by `docs/build.py` from the rules' own docstrings. Their use: [checking.md](checking.md).\n"
        "The last column says how many weights of healthy models each rule flags (- where that was not measured).\n\n"
        "| code | name | severity | what it means | thresholds | healthy weights flagged |\n|---|---|---|---|---|---|\n"
        f"{contents}\n\n{texts}"
    )


def _thresholds(rule: Rule) -> str:
    return "<br>".join(f"`{name}` {value:g}" for name, value in rule.thresholds.items()) or "-"


def _false_alarms(rule: Rule) -> str:
    found = calibration(rule.code)
    return f"{found['flagged_weights']} of {found['weights']}" if found else "-"


def commands_page() -> str:
    """The help text of every command."""
    runner = CliRunner()
    parts = ["# Commands\n\nMade by `docs/build.py` from the help texts.\n"]
    for name in (None, *get_command(app).commands):  # type: ignore[attr-defined]
        result = runner.invoke(app, [*([name] if name else []), "--help"])
        title = f"weightsmith {name}" if name else "weightsmith"
        text = "\n".join(line.rstrip() for line in result.output.strip().splitlines())
        parts.append(f"## {title}\n\n```text\n{text}\n```\n")
    return "\n".join(parts)


PAGES = {"rules.md": rules_page, "commands.md": commands_page}

if __name__ == "__main__":
    for page, make in PAGES.items():
        (FOLDER / page).write_text(make(), encoding="utf-8")

"""The documentation of a rule as people read it: its docstring, its settings, and how often it is wrong."""

import json
from functools import cache
from importlib.resources import files
from typing import Any

from weightsmith.rules.catalog import RULES
from weightsmith.rules.finding import Finding
from weightsmith.rules.hints import hint
from weightsmith.rules.rule import Rule
from weightsmith.rules.selection import find_rule


def explain(code: str) -> str:
    """The documentation of a rule, as Markdown, by its code (`WS101`) or name.

    Raises:
        InputError: no rule is called that.
    """
    rule = find_rule(code)
    return (
        f"# {rule.code}: {rule.name}\n\n{(rule.documentation or '').strip()}\n\n"
        f"## Settings\n{_settings(rule)}\n\n## Calibration\n{calibration_text(rule.code)}\n"
    )


def fix_hint(finding: Finding, *more: Finding) -> str:
    """Lines that mend findings of one rule, to be read and adapted before use.

    Code where the table in `rules/hints.py` has some, otherwise what the rule's documentation says under `What to do`.
    """
    findings = (finding, *more)
    rule = RULES[finding.code]
    return hint(rule.name, findings) or rule.section("What to do")


def calibration(code: str) -> dict[str, int] | None:
    """How a rule did on the healthy models it was calibrated on, or None where that was not measured.

    Returns:
        `models` and `weights` it judged, and how many of each it flagged (`flagged_models`, `flagged_weights`).
    """
    found: dict[str, int] | None = _calibrations().get("rules", {}).get(code)
    return found


def calibration_text(code: str) -> str:
    """The same in a sentence."""
    found = calibration(code)
    if found is None:
        return "Not calibrated: its false-positive rate on healthy models was not measured."
    share = found["flagged_weights"] / found["weights"] if found["weights"] else 0.0
    names = ", ".join(_calibrations().get("models", ()))
    return (
        f"On healthy models it flags {found['flagged_models']} of {found['models']} models and "
        f"{found['flagged_weights']} of {found['weights']} weights ({share:.1%}; with 95 % confidence below "
        f"{found['weights_upper']:.1%} of such weights)" + (f": {names}." if names else ".")
    )


def _settings(rule: Rule) -> str:
    judged = "a recorded run" if rule.applies == "run" else "the values of weights"
    lines = [f"Severity `{rule.severity}`; judges {judged}."]
    if not rule.thresholds:
        return f"{lines[0]} It has no threshold to change."
    lines += ["", "| threshold | default |", "|---|---|"]
    lines += [f"| `{name}` | {value:g} |" for name, value in rule.thresholds.items()]
    lines += ["", "To change one, in `pyproject.toml` (in `weightsmith.toml` leave `tool.weightsmith.` out):", ""]
    lines += ["```toml", "[tool.weightsmith.check.thresholds]"]
    lines += [f"{rule.name}.{name} = {value:g}" for name, value in rule.thresholds.items()]
    return "\n".join([*lines, "```"])


@cache
def _calibrations() -> dict[str, Any]:
    path = files("weightsmith.rules") / "calibration.json"
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    return found

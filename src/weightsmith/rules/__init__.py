"""What is wrong with weights: one rule, one file, whose docstring is its documentation.

Everything here is loaded when first used: who serves the page needs the settings of a check and not yet the rules.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from weightsmith.rules.baseline import Baseline
    from weightsmith.rules.catalog import RULES
    from weightsmith.rules.checking import check
    from weightsmith.rules.configuration import Configuration
    from weightsmith.rules.explanation import calibration, explain, fix_hint
    from weightsmith.rules.finding import Finding, Severity
    from weightsmith.rules.report import Report, Skipped
    from weightsmith.rules.rule import Rule
    from weightsmith.rules.selection import find_rule

_HOMES = {
    "RULES": "catalog",
    "Baseline": "baseline",
    "Configuration": "configuration",
    "Finding": "finding",
    "Report": "report",
    "Rule": "rule",
    "Severity": "finding",
    "Skipped": "report",
    "calibration": "explanation",
    "check": "checking",
    "explain": "explanation",
    "find_rule": "selection",
    "fix_hint": "explanation",
}

__all__ = [
    "RULES",
    "Baseline",
    "Configuration",
    "Finding",
    "Report",
    "Rule",
    "Severity",
    "Skipped",
    "calibration",
    "check",
    "explain",
    "find_rule",
    "fix_hint",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(f"weightsmith.rules.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'weightsmith.rules' has no attribute '{name}'")

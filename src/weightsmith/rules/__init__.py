"""What is wrong with weights: one rule, one file, whose docstring is its documentation."""

from weightsmith.rules.baseline import Baseline
from weightsmith.rules.catalog import RULES
from weightsmith.rules.check import check
from weightsmith.rules.configuration import Configuration
from weightsmith.rules.explanation import calibration, explain, fix_hint
from weightsmith.rules.finding import Finding, Severity
from weightsmith.rules.report import Report, Skipped
from weightsmith.rules.rule import Rule
from weightsmith.rules.selection import find_rule

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

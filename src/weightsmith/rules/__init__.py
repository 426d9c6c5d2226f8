"""What is wrong with weights: one rule, one file, whose docstring is its documentation."""

from weightsmith.rules.catalog import RULES
from weightsmith.rules.check import Report, Skipped, check, explain, find_rule
from weightsmith.rules.finding import Finding, Severity
from weightsmith.rules.rule import Rule

__all__ = ["RULES", "Finding", "Report", "Rule", "Severity", "Skipped", "check", "explain", "find_rule"]

"""What a check did not judge, in lines; the same words in every form of a report."""

from collections.abc import Iterable, Iterator

from weightsmith.names import printable
from weightsmith.rules.catalog import RULES
from weightsmith.rules.report import Report

NAMED = 3
"""Weights that a line names before it says how many more there are."""


_ORDER = list(RULES)


def not_checked(report: Report) -> Iterator[str]:
    """Everything that was not judged and why, one line each: rules, then weights, then what is no weight."""
    for reason, codes in _grouped((item.reason, item.code) for item in report.skipped):
        yield f"{_rules(report, codes)}: {printable(reason)}"
    for item in report.unchecked:
        yield f"{item.code} {item.name}: {_weights(item.weights)}: {printable(item.reason)}"
    for reason, names in _grouped((reason, name) for name, reason in report.unreadable.items()):
        yield f"No rule: {_weights(names)}: {printable(reason)}"
    for reason, names in _grouped((item.reason, item.name) for item in report.aside):
        yield f"Not a weight: {_listed(names, NAMED)}: {printable(reason)}"


def _rules(report: Report, codes: list[str]) -> str:
    """One rule by code and name, a few by code, many that follow each other by the first and the last."""
    if len(codes) == 1:
        return next(f"{item.code} {item.name}" for item in report.skipped if item.code == codes[0])
    first = _ORDER.index(codes[0])
    if len(codes) > NAMED and codes == _ORDER[first : first + len(codes)]:
        return f"{codes[0]} to {codes[-1]} ({len(codes)} rules)"
    return ", ".join(codes)


def _grouped(pairs: Iterable[tuple[str, str]]) -> Iterable[tuple[str, list[str]]]:
    groups: dict[str, list[str]] = {}
    for reason, name in pairs:
        groups.setdefault(reason, []).append(name)
    return groups.items()


def _weights(names: "Iterable[str]") -> str:
    listed = list(names)
    return f"{len(listed)} weight{'s' * (len(listed) != 1)} ({_listed(listed, NAMED)})"


def _listed(names: list[str], most: int) -> str:
    shown = ", ".join(printable(name) for name in names[:most])
    return shown + (f" and {len(names) - most} more" if len(names) > most else "")

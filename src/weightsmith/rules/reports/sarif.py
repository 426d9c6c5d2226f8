"""SARIF 2.1.0 (OASIS, errata 01), which code-scanning services and editors read."""

from collections.abc import Sequence
from importlib.metadata import version
from typing import Any
from urllib.parse import quote

from weightsmith.names import printable
from weightsmith.rules.baseline import fingerprints
from weightsmith.rules.catalog import RULES
from weightsmith.rules.explanation import explain, fix_hint
from weightsmith.rules.finding import Finding, Severity
from weightsmith.rules.report import Location, Report
from weightsmith.rules.reports.unjudged import not_checked
from weightsmith.rules.rule import Rule

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
LEVELS: dict[Severity, str] = {"error": "error", "warning": "warning", "info": "note"}
_POSITIONS = {code: position for position, code in enumerate(RULES)}


def sarif(report: Report, *, hints: bool = False) -> dict[str, Any]:
    """The report as one SARIF run.

    A weight becomes a logical location, beside the bytes of the file that hold it. Findings of the baseline are
    `unchanged`, those that the configuration lets pass carry its reason as an accepted suppression. What was not
    checked is among the notifications of the invocation.

    Args:
        report: what a check left.
        hints: give the lines that mend each finding, as the property `fix_hint`.
    """
    suppressed = [item.finding for item in report.suppressed]
    results = _results(report, [*report.findings, *report.known, *suppressed], hints)
    for result in results[: len(report)] if report.has_baseline else ():
        result["baselineState"] = "new"
    for result in results[len(report) : len(report) + len(report.known)]:
        result["baselineState"] = "unchanged"
    for result, item in zip(results[len(report) + len(report.known) :], report.suppressed, strict=True):
        result["suppressions"] = [{"kind": "external", "status": "accepted", "justification": printable(item.reason)}]
    notes = [{"level": "note", "message": {"text": f"Not checked: {line}"}} for line in not_checked(report)]
    driver = {
        "name": "Weightsmith",
        "semanticVersion": version("weightsmith"),
        "rules": [_descriptor(rule) for rule in RULES.values()],
    }
    run = {
        "tool": {"driver": driver},
        "invocations": [{"executionSuccessful": True, "toolExecutionNotifications": notes}],
        "columnKind": "unicodeCodePoints",
        "results": results,
        "properties": {"label": printable(report.label), "checked": list(report.checked)},
    }
    return {"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}


def _descriptor(rule: Rule) -> dict[str, Any]:
    return {
        "id": rule.code,
        "name": "".join(word.capitalize() for word in rule.name.split("-")),
        "shortDescription": {"text": rule.summary},
        "fullDescription": {"text": rule.section("What it does") or rule.summary},
        "help": {"text": rule.section("What to do") or rule.summary, "markdown": explain(rule.code)},
        "defaultConfiguration": {"level": LEVELS[rule.severity]},
        "properties": {"tags": [rule.applies, rule.name]},
    }


def _results(report: Report, findings: Sequence[Finding], hints: bool) -> list[dict[str, Any]]:
    return [
        _result(finding, mark, report.locations.get(finding.weight or ""), report.label)
        | {"properties": _properties(finding, hints)}
        for finding, mark in zip(findings, fingerprints(findings), strict=True)
    ]


def _result(finding: Finding, mark: str, location: Location | None, label: str) -> dict[str, Any]:
    where = f"{finding.weight}: " if finding.weight else ""
    place: dict[str, Any] = {"physicalLocation": _physical(location or Location(label))}
    if finding.weight:
        name = printable(finding.weight)
        place["logicalLocations"] = [
            {"name": name.rpartition(".")[2] or name, "fullyQualifiedName": name, "kind": "member"}
        ]
    return {
        "ruleId": finding.code,
        "ruleIndex": _POSITIONS[finding.code],
        "level": LEVELS[finding.severity],
        "message": {"text": printable(f"{where}{finding.message} {finding.advice}")},
        "locations": [place],
        "partialFingerprints": {"weightsmith/v1": mark},
    }


def _physical(location: Location) -> dict[str, Any]:
    physical: dict[str, Any] = {"artifactLocation": {"uri": _uri(location.file)}}
    if location.offset is not None:
        physical["region"] = {"byteOffset": location.offset, "byteLength": location.length}
    return physical


def _uri(label: str) -> str:
    """A relative or absolute URI: what is no address already is a path, percent-encoded."""
    if "://" in label:
        return quote(printable(label), safe=":/?#[]@!$&'()*+,;=%~")
    path = quote(label.replace("\\", "/").encode("utf-8", "surrogatepass"))
    return f"file://{path}" if path.startswith("/") else path


def _properties(finding: Finding, hints: bool) -> dict[str, Any]:
    evidence = {
        name: printable(value) if isinstance(value, str) else _plain(value) for name, value in finding.evidence.items()
    }
    properties: dict[str, Any] = {"evidence": evidence}
    if finding.since is not None:
        properties["since"] = finding.since
    if hints:
        properties["fix_hint"] = fix_hint(finding)
    return properties


def _plain(value: float) -> float | str:
    """JSON has no NaN and no infinities: they become texts."""
    return value if abs(value) < float("inf") else str(value)

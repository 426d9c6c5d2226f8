"""Annotations for GitHub Actions: one workflow command a finding."""

from weightsmith.names import printable
from weightsmith.rules.finding import Severity
from weightsmith.rules.report import Report
from weightsmith.rules.reports.unjudged import not_checked

COMMANDS: dict[Severity, str] = {"error": "error", "warning": "warning", "info": "notice"}


def github(report: Report) -> str:
    """The findings as workflow commands (`::error file=...,title=...::message`), then one on what was not checked.

    GitHub shows ten annotations of a kind for each step and keeps all lines in the log. Escaped as the workflow
    commands ask for: percent signs and line ends everywhere, colons and commas in properties.
    """
    lines = []
    for finding in report:
        location = report.locations.get(finding.weight or "")
        properties = {"file": location.file if location else report.label, "title": f"{finding.code} {finding.name}"}
        where = f"{finding.weight}: " if finding.weight else ""
        lines.append(_command(COMMANDS[finding.severity], properties, f"{where}{finding.message} {finding.advice}"))
    left = "\n".join(not_checked(report))
    if left:
        lines.append(_command("notice", {"title": "weightsmith: not checked"}, left))
    return "".join(f"{line}\n" for line in lines)


def _command(name: str, properties: dict[str, str], message: str) -> str:
    pairs = ",".join(f"{key}={_property(value)}" for key, value in properties.items())
    return f"::{name} {pairs}::{_data(message)}"


def _data(text: str) -> str:
    """Line ends stay line ends, as GitHub shows them; every other control character is written out."""
    escaped = "\n".join(printable(line) for line in text.split("\n"))
    return escaped.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(printable(text)).replace(":", "%3A").replace(",", "%2C")

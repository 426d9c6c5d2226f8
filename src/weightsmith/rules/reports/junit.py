"""JUnit XML, which every CI server shows: one test case a rule."""

from xml.etree import ElementTree as Xml

from weightsmith.names import printable
from weightsmith.rules.catalog import RULES
from weightsmith.rules.finding import Severity
from weightsmith.rules.report import Report
from weightsmith.rules.reports.unjudged import not_checked


def junit(report: Report, fail_on: Severity = "warning") -> str:
    """One suite, with a test case for each rule: failed, skipped with the reason, or passed.

    Args:
        report: what a check left.
        fail_on: findings of this severity or a worse one fail the test case; milder ones are in its output.
    """
    failing = set(map(id, report.at_least(fail_on)))
    cases = [_case(report, code, failing) for code in _codes(report)]
    counts = {
        "tests": str(len(cases)),
        "failures": str(sum(case.find("failure") is not None for case in cases)),
        "errors": "0",
        "skipped": str(sum(case.find("skipped") is not None for case in cases)),
    }
    root = Xml.Element("testsuites", {"name": "weightsmith check", **counts})
    suite = Xml.SubElement(root, "testsuite", {"name": printable(report.label) or "weights", **counts})
    suite.extend(cases)
    left = list(not_checked(report))
    if left:
        Xml.SubElement(suite, "system-out").text = "Not checked:\n" + "\n".join(left)
    Xml.indent(root)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{Xml.tostring(root, encoding="unicode")}\n'


def _codes(report: Report) -> list[str]:
    applied = {*report.checked, *(item.code for item in report.skipped), *(finding.code for finding in report)}
    return sorted(applied)


def _case(report: Report, code: str, failing: set[int]) -> Xml.Element:
    case = Xml.Element(
        "testcase", {"classname": f"weightsmith.{RULES[code].applies}", "name": f"{code} {RULES[code].name}"}
    )
    found = [finding for finding in report if finding.code == code]
    failed = [finding for finding in found if id(finding) in failing]
    if failed:
        message = f"{len(failed)} finding{'s' * (len(failed) != 1)}"
        failure = Xml.SubElement(case, "failure", {"type": failed[0].severity, "message": message})
        failure.text = "\n".join(printable(str(finding)) for finding in failed)
    elif code not in report.checked:
        reasons = [item.reason for item in report.skipped if item.code == code]
        Xml.SubElement(case, "skipped", {"message": printable("; ".join(reasons))})
    mild = [printable(str(finding)) for finding in found if id(finding) not in failing]
    if mild:
        Xml.SubElement(case, "system-out").text = "\n".join(mild)
    return case

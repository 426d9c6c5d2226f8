"""A baseline: the findings there were on some day, so that a check fails on what is new alone.

**What makes two findings the same.** A fingerprint of the rule's code, the weight's name and the names in the evidence
(texts with a letter in them: another weight, a part such as `q`); the numbers and the wording play no part. Findings
whose fingerprints agree are told apart by their order.

**When a known finding counts as new again.** When its severity rose, or when the number that was judged became at least
twice as bad: doubled where larger is worse, halved where it lies under its bound (see `Finding.evidence`).
"""

import json
import math
import os
import secrets
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from weightsmith.errors import InputError
from weightsmith.names import printable
from weightsmith.rules.finding import Finding, Severity
from weightsmith.rules.report import SEVERITIES

VERSION = 1
LARGEST_FILE = 64 << 20
"""Bytes of a baseline that is read at all: room for a quarter of a million findings."""
WORSE = 2.0


@dataclass(frozen=True)
class Known:
    """One finding of a baseline.

    Attributes:
        fingerprint: what it is recognized by.
        code: of its rule.
        weight: where it was seen, for people who read the file.
        severity: at the time.
        measured: the number that was judged at the time, or None where there was none or it was not finite.
    """

    fingerprint: str
    code: str
    weight: str | None
    severity: Severity
    measured: float | None

    def covers(self, finding: Finding) -> bool:
        """Whether a finding of the same fingerprint is no worse than this one was."""
        if SEVERITIES.index(finding.severity) < SEVERITIES.index(self.severity):
            return False
        value, bound = judged(finding)
        if value is None or self.measured is None:
            return True
        now, before = abs(value), abs(self.measured)
        if bound is not None and now < abs(bound):
            return now > before / WORSE or now == before
        return now < before * WORSE or now == before


@dataclass(frozen=True)
class Baseline:
    """The findings that are known already."""

    known: tuple[Known, ...]

    @classmethod
    def of(cls, findings: Iterable[Finding]) -> "Baseline":
        """The baseline that these findings make."""
        listed = list(findings)
        return cls(
            tuple(
                Known(mark, finding.code, finding.weight, finding.severity, judged(finding)[0])
                for mark, finding in zip(fingerprints(listed), listed, strict=True)
            )
        )

    @classmethod
    def load(cls, path: "str | os.PathLike[str]") -> "Baseline":
        """Read what `save` wrote.

        Raises:
            InputError: it is not there, or no baseline, or damaged.
        """
        label = printable(os.fspath(path))
        try:
            with Path(path).open("rb") as file:
                text = file.read(LARGEST_FILE + 1)
        except FileNotFoundError:
            raise InputError(f"{label}: no baseline is there; --write-baseline {label} makes one") from None
        if len(text) > LARGEST_FILE:
            raise InputError(f"{label}: over {LARGEST_FILE >> 20} MB, which no baseline is")
        try:
            data = json.loads(text)
            return cls(tuple(_known(item) for item in _findings(data)))
        except (ValueError, TypeError, KeyError, OverflowError, RecursionError) as error:
            raise InputError(
                f"{label}: not a baseline, or damaged ({_cause(error)}); write it anew with --write-baseline"
            ) from None

    def save(self, path: "str | os.PathLike[str]") -> None:
        """Write the baseline as JSON, one finding a line, sorted so that a diff shows what changed.

        Raises:
            InputError: it cannot be written; what was there before is untouched.
        """
        lines = sorted(
            (json.dumps(vars(item) | {"weight": item.weight and printable(item.weight)}) for item in self.known),
            key=lambda line: (json.loads(line)["code"], line),
        )
        body = ",\n".join(lines)
        write_whole(path, f'{{"weightsmith_baseline": {VERSION}, "findings": [\n{body}\n]}}\n')

    def split(self, findings: Sequence[Finding]) -> tuple[list[Finding], list[Finding], list[Known]]:
        """Part findings into new (or worse) ones and known ones; and tell what is known but not among them."""
        by_mark = {item.fingerprint: item for item in self.known}
        new: list[Finding] = []
        known: list[Finding] = []
        marks = fingerprints(findings)
        for mark, finding in zip(marks, findings, strict=True):
            seen = by_mark.get(mark)
            (known if seen is not None and seen.covers(finding) else new).append(finding)
        gone = by_mark.keys() - set(marks)
        return new, known, [item for item in self.known if item.fingerprint in gone]


def fingerprints(findings: Iterable[Finding]) -> list[str]:
    """Sixteen hexadecimal digits for each finding, in order, all different (see the head of this file)."""
    seen: Counter[str] = Counter()
    marks = []
    for finding in findings:
        names = [
            f"{key}={value}"
            for key, value in sorted(finding.evidence.items())
            if isinstance(value, str) and any(character.isalpha() for character in value)
        ]
        stable = json.dumps([finding.code, finding.weight, names])
        mark = sha256(f"{stable}{seen[stable] or ''}".encode()).hexdigest()[:16]
        seen[stable] += 1
        marks.append(mark)
    return marks


def judged(finding: Finding) -> tuple[float | None, float | None]:
    """The number that a finding was judged by, and its bound; None for what its evidence does not state."""
    for name, value in finding.evidence.items():
        if isinstance(value, int | float):
            bound = finding.evidence.get(f"{name}_threshold", finding.evidence.get("threshold"))
            finite = isinstance(bound, int | float) and math.isfinite(bound)
            return (float(value) if math.isfinite(value) else None), (float(bound) if finite and bound else None)
    return None, None


def write_whole(path: "str | os.PathLike[str]", text: str) -> None:
    """Write a file whole or not at all: to a temporary name beside it, synced, then renamed.

    What is no plain file (a device, a pipe) is written straight into.

    Raises:
        InputError: it cannot be written; what was there before is untouched.
    """
    try:
        _write(Path(path), text)
    except OSError as error:
        raise InputError(f"{printable(os.fspath(path))}: cannot be written: {(error.strerror or '').lower()}") from None


def _write(target: Path, text: str) -> None:
    if target.exists() and not target.is_file():
        target.write_text(text, encoding="utf-8")
        return
    target = target.resolve()
    temporary = target.with_name(f".{target.name[:100]}.{secrets.token_hex(4)}")
    try:
        with temporary.open("x", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)


def _findings(data: Any) -> list[Any]:
    if not isinstance(data, dict) or "weightsmith_baseline" not in data:
        raise ValueError("it does not say that it is one")
    if data["weightsmith_baseline"] != VERSION:
        raise ValueError(f"its version is {str(data['weightsmith_baseline'])[:20]}, this program reads {VERSION}")
    if not isinstance(data["findings"], list):
        raise ValueError("its findings are no list")
    return data["findings"]


def _known(item: Any) -> Known:
    if not isinstance(item, dict):
        raise ValueError("a finding is no object")
    found = Known(item["fingerprint"], item["code"], item["weight"], item["severity"], item["measured"])
    texts = isinstance(found.fingerprint, str) and isinstance(found.code, str) and isinstance(found.weight, str | None)
    number = found.measured is None or (isinstance(found.measured, int | float) and math.isfinite(found.measured))
    if not (texts and number and found.severity in SEVERITIES):
        raise ValueError("a finding has a field of the wrong type")
    return found


def _cause(error: Exception) -> str:
    if isinstance(error, KeyError):
        return f"{error} is missing"
    return printable(str(error))[:120] or type(error).__name__

"""The settings of `weightsmith check` that a project keeps in `weightsmith.toml` or `pyproject.toml`."""

import math
import os
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from weightsmith.errors import InputError
from weightsmith.names import printable, suggestion
from weightsmith.rules.finding import Severity
from weightsmith.rules.report import SEVERITIES
from weightsmith.rules.suppression import Suppression

LARGEST_FILE = 1 << 20
"""Bytes of a configuration that is read at all."""


@dataclass(frozen=True)
class Configuration:
    """What a project wants of its checks; every field may be left out.

    Attributes:
        select: codes, the start of codes or names of the only rules to apply.
        ignore: the same for rules to leave out.
        fail_on: the least severity at which a check fails.
        severity: by rule code, the severity of all its findings.
        thresholds: by rule code and threshold name, the value in place of the default.
        suppressions: findings to let pass.
        path: the file it was read from.
    """

    select: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    fail_on: Severity = "warning"
    severity: Mapping[str, Severity] = field(default_factory=dict)
    thresholds: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    suppressions: tuple[Suppression, ...] = ()
    path: Path | None = None

    @classmethod
    def find(cls, folder: "str | os.PathLike[str]" = ".") -> "Configuration":
        """The configuration that holds in a folder: of the nearest file at or above it that has one, else the defaults.

        In one folder `weightsmith.toml` comes before `pyproject.toml`.

        Raises:
            InputError: the file cannot be used; one line for each thing that is wrong with it.
        """
        start = Path(folder).absolute()
        for place in (start, *start.parents):
            for name in ("weightsmith.toml", "pyproject.toml"):
                path = place / name
                table = _table(path) if _is_file(path) else None
                if table is not None:
                    return _Reader(path).read(table)
        return cls()

    @classmethod
    def load(cls, path: "str | os.PathLike[str]") -> "Configuration":
        """The configuration of one file: its `[check]`, or `[tool.weightsmith.check]` in a `pyproject.toml`.

        Raises:
            InputError: the file is not there, has no such table or cannot be used; a line for each thing wrong with it.
        """
        table = _table(Path(path))
        if table is None:
            wanted = "[tool.weightsmith.check]" if Path(path).name == "pyproject.toml" else "[check]"
            raise InputError(f"{printable(os.fspath(path))}: has no table {wanted}")
        return _Reader(Path(path)).read(table)


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a folder above that may not be looked into holds no settings for us
        return False


def _table(path: Path) -> dict[str, Any] | None:
    """The table with the settings of a file, or None where it has none."""
    label = printable(str(path))
    try:
        with path.open("rb") as file:
            text = file.read(LARGEST_FILE + 1)
        if len(text) > LARGEST_FILE:
            raise InputError(f"{label}: over {LARGEST_FILE >> 20} MB, which no configuration is")
        data: Any = tomllib.loads(text.decode("utf-8"))
    except OSError as error:
        raise InputError(f"{label}: cannot be read: {(error.strerror or '').lower()}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InputError(f"{label}: not TOML: {printable(str(error))[:200]}") from None
    prefix = ""
    if path.name == "pyproject.toml":
        data, prefix = data.get("tool", {}), "tool.weightsmith."
        data = data.get("weightsmith", {}) if isinstance(data, dict) else {}
    if not isinstance(data, dict):
        raise InputError(f"{label}: tool.weightsmith has to be a table")
    for key in data:
        if key != "check":
            raise InputError(f"{label}: {prefix}{printable(key)}: no such table{suggestion(key, ['check'])}")
    table = data.get("check")
    if table is not None and not isinstance(table, dict):
        raise InputError(f"{label}: {prefix}check has to be a table")
    return table


class _Reader:
    """Reads one table and collects everything that is wrong with it, so that people mend it in one go."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.label = printable(str(path))
        self.prefix = "tool.weightsmith.check" if path.name == "pyproject.toml" else "check"
        self.problems: list[str] = []

    def read(self, table: dict[str, Any]) -> Configuration:
        readers: dict[str, tuple[str, Callable[[str, Any], Any]]] = {
            "select": ("select", self.rules),
            "ignore": ("ignore", self.rules),
            "fail-on": ("fail_on", self.level),
            "severity": ("severity", self.severities),
            "thresholds": ("thresholds", self.thresholds),
            "suppress": ("suppressions", self.suppressions),
        }
        fields: dict[str, Any] = {}
        for key, value in table.items():
            if key in readers:
                name, reader = readers[key]
                fields[name] = reader(key, value)
            else:
                self.problem(key, f"no such setting{suggestion(key, readers)}")
        if self.problems:
            raise InputError("\n".join(self.problems))
        return Configuration(**fields, path=self.path)

    def problem(self, key: str, text: str) -> None:
        self.problems.append(f"{self.label}: {self.prefix}.{printable(key)}: {text}")

    def level(self, key: str, value: Any) -> Severity:
        if value in SEVERITIES:
            return SEVERITIES[SEVERITIES.index(value)]
        self.problem(key, f"has to be one of {', '.join(SEVERITIES)}, not {_shown(value)}")
        return "warning"

    def texts(self, key: str, value: Any) -> tuple[str, ...]:
        values = [value] if isinstance(value, str) else value
        if isinstance(values, list) and all(isinstance(item, str) for item in values):
            return tuple(values)
        self.problem(key, f"has to be a list of texts, not {_shown(value)}")
        return ()

    def rules(self, key: str, value: Any) -> tuple[str, ...]:
        given = self.texts(key, value)
        for item in given:
            self.codes(key, item)
        return given

    def codes(self, key: str, given: str) -> frozenset[str]:
        from weightsmith.rules.selection import find_rules  # loads every rule

        try:
            return frozenset(rule.code for rule in find_rules(given))
        except InputError as error:
            self.problem(key, str(error))
            return frozenset()

    def table(self, key: str, value: Any) -> dict[str, Any]:
        if isinstance(value, dict):
            return value
        self.problem(key, f"has to be a table, not {_shown(value)}")
        return {}

    def severities(self, key: str, value: Any) -> dict[str, Severity]:
        found: dict[str, Severity] = {}
        for given, level in self.table(key, value).items():
            place = f"{key}.{given}"
            severity = self.level(place, level)
            found |= dict.fromkeys(self.codes(place, given), severity)
        return found

    def thresholds(self, key: str, value: Any) -> dict[str, dict[str, float]]:
        from weightsmith.rules.selection import find_rule  # loads every rule

        found: dict[str, dict[str, float]] = {}
        for given, values in self.table(key, value).items():
            place = f"{key}.{given}"
            try:
                rule = find_rule(given)
            except InputError as error:
                self.problem(place, str(error))
                continue
            for name, number in self.table(place, values).items():
                self.threshold(f"{place}.{name}", number)
                plain = name.replace("-", "_")
                if plain in rule.thresholds:
                    found.setdefault(rule.code, {})[plain] = number
                else:
                    known = ", ".join(rule.thresholds) or "none"
                    close = suggestion(plain, rule.thresholds)
                    self.problem(f"{place}.{name}", f"{rule.name} has no such threshold (it has: {known}){close}")
        return found

    def threshold(self, place: str, number: Any) -> None:
        if isinstance(number, bool) or not isinstance(number, int | float) or not math.isfinite(number):
            self.problem(place, f"has to be a finite number, not {_shown(number)}")

    def suppressions(self, key: str, value: Any) -> tuple[Suppression, ...]:
        if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
            self.problem(key, f"has to be a list of tables: [[{self.prefix}.suppress]]")
            return ()
        return tuple(self.suppression(f"{key}[{position}]", item) for position, item in enumerate(value))

    def suppression(self, place: str, table: dict[str, Any]) -> Suppression:
        known = ("rule", "weights", "reason")
        for name in table:
            if name not in known:
                self.problem(f"{place}.{name}", f"no such setting{suggestion(name, known)}")
        rule, reason = table.get("rule"), table.get("reason")
        codes: frozenset[str] = frozenset()
        if isinstance(rule, str):
            codes = self.codes(f"{place}.rule", rule)
        else:
            self.problem(f"{place}.rule", "name the rule whose findings may pass: a code or a name")
        if not isinstance(reason, str) or not reason.strip():
            self.problem(f"{place}.reason", "say why its findings may pass")
        weights = self.texts(f"{place}.weights", table.get("weights", ["*"]))
        return Suppression(str(rule), codes, str(reason), weights)


def _shown(value: Any) -> str:
    return printable(repr(value))[:60]

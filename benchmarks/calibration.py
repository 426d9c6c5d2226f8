"""How often each rule on values flags healthy models: false-positive rates for the rules' pages.

    python benchmarks/calibration.py [NAME=]PATH...

opens every checkpoint at or below the paths, applies all rules on values, and writes what each judged and flagged to
src/weightsmith/rules/calibration.json, with the upper end of the 95 % interval of both shares. A name stands for the
path in the list of models. A network counts once: of files in one folder that differ in format and whose names begin
alike (`net.onnx`, `net_16k.safetensors`) the largest is taken. Findings for information count as flagged, true ones as
well: the output shows each, to be reviewed. A checkpoint that cannot be opened is named and left out, and so is a rule
that had nothing to judge.
"""

import argparse
import json
from collections.abc import Iterator
from math import sqrt
from pathlib import Path

import weightsmith as ws
from weightsmith.analysis.rows import RowStatistics
from weightsmith.errors import WeightsmithError
from weightsmith.rules import RULES, Finding, Rule
from weightsmith.rules.subject import NotCheckedError, Subject
from weightsmith.sketch import Sketch
from weightsmith.sources import Source, Weight

TARGET = Path(__file__).parents[1] / "src" / "weightsmith" / "rules" / "calibration.json"
SUFFIXES = {".safetensors", ".pt", ".pth", ".jit", ".onnx", ".tflite", ".keras", ".h5", ".npz", ".npy", ".gguf"}
CONFIDENCE = 1.959964
"""Standard deviations of a 95 % interval."""


class Watched(Subject):
    """A subject that notes which weights the rule at hand asks for."""

    def __init__(self, source: Source) -> None:
        super().__init__(source)
        self.handed: set[str] = set()
        self.asked: set[str] = set()

    def each(self, **wanted) -> Iterator[Weight]:
        """As `Subject.each`."""
        for weight in super().each(**wanted):
            self.handed.add(weight.name)
            yield weight

    def sketch(self, weight: Weight) -> Sketch:
        """As `Subject.sketch`."""
        self.asked.add(weight.name)
        return super().sketch(weight)

    def rows(self, weight: Weight) -> RowStatistics:
        """As `Subject.rows`."""
        self.asked.add(weight.name)
        return super().rows(weight)

    def judge(self, rule: Rule) -> tuple[set[str], list[Finding]]:
        """The weights that a rule judged, and what it found."""
        self.handed, self.asked = set(), set()
        try:
            findings = list(rule.look(rule, self))
        except NotCheckedError:
            return set(), []
        left_out = {name for (code, _), names in self.skipped.items() if code == rule.code for name in names}
        return (self.asked or self.handed) - left_out | {f.weight for f in findings if f.weight}, findings


def wilson(hits: int, trials: int) -> float:
    """Upper end of the 95 % interval of a share (Wilson, 1927)."""
    if not trials:
        return 1.0
    share, z = hits / trials, CONFIDENCE
    center = share + z * z / (2 * trials)
    margin = z * sqrt(share * (1 - share) / trials + z * z / (4 * trials * trials))
    return (center + margin) / (1 + z * z / trials)


def checkpoints(given: list[str]) -> Iterator[tuple[str, Path]]:
    """Every file at or below the paths that looks like a checkpoint, and what to call it."""
    for argument in given:
        name, _, text = argument.rpartition("=")
        top = Path(text)
        for path in [top] if top.is_file() else sorted(top.rglob("*")):
            if path.suffix in SUFFIXES and path.is_file():
                inside = str(path.relative_to(top)) if path != top else "" if name else path.name
                yield "/".join(part for part in (name, inside) if part), path


def once(found: list[tuple[str, Path]]) -> Iterator[tuple[str, Path, Path | None]]:
    """Each file with the one that counts for the same network in another format, or None where it counts itself."""
    for label, path in found:
        same = [other for _, other in found if path == other or _same_network(path, other)]
        largest = max(same, key=lambda other: other.stat().st_size)
        yield label, path, None if largest == path else largest


def _same_network(one: Path, other: Path) -> bool:
    alike = one.stem.startswith(other.stem) or other.stem.startswith(one.stem)
    return alike and one.parent == other.parent and one.suffix != other.suffix


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("paths", nargs="+", metavar="[NAME=]PATH")
    parser.add_argument("--output", type=Path, default=TARGET)
    arguments = parser.parse_args()
    rules = {code: rule for code, rule in RULES.items() if rule.applies == "weights"}
    counts = {code: dict.fromkeys(("models", "weights", "flagged_models", "flagged_weights"), 0) for code in rules}
    models = []
    for label, path, counted in once(list(checkpoints(arguments.paths))):
        if counted is not None:
            print(f"left out: {label}: the same network as {counted.name}")
            continue
        try:
            subject = Watched(ws.open(path))
            subject.require_weights()
        except WeightsmithError as error:
            print(f"left out: {error}")
            continue
        models.append(label)
        print(f"{models[-1]}: {len(subject.require_weights())} weights")
        for code, rule in rules.items():
            judged, findings = subject.judge(rule)
            flagged = {finding.weight for finding in findings}
            counts[code]["models"] += bool(judged)
            counts[code]["weights"] += len(judged)
            counts[code]["flagged_models"] += bool(flagged)
            counts[code]["flagged_weights"] += len(flagged)
            for finding in findings:
                print(f"  [{finding.severity}] {finding}")
    for code, count in counts.items():
        count["models_upper"] = round(wilson(count["flagged_models"], count["models"]), 4)
        count["weights_upper"] = round(wilson(count["flagged_weights"], count["weights"]), 4)
        print(f"{code} {rules[code].name:24} {count}")
    measured = {code: count for code, count in counts.items() if count["models"]}
    arguments.output.write_text(json.dumps({"models": models, "rules": measured}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

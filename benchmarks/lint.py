"""Scan and check beside `lens analyze` of weightlens 0.3: `python benchmarks/lint.py [GB]`.

Makes a safetensors file of so many gigabytes (1 by default) in a temporary folder (`TMPDIR`): the layers of a decoder,
sound but for one fault for each of weightlens' five rules. Reads it once, lets the commands take turns as whole
processes without any cache, and prints seconds, peak memory (`VmHWM`) and, side by side, what either says of each
weight. Ends with exit code 1 when weightlens names a weight that the check does not.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from statistics import median

import numpy as np

from scan import command
from weightsmith.sources import write_safetensors

ROUNDS = 3
WIDTH = 1024
SHAPES = {
    "attention.query": (WIDTH, WIDTH),
    "attention.key": (WIDTH, WIDTH),
    "attention.value": (WIDTH, WIDTH),
    "attention.output": (WIDTH, WIDTH),
    "mlp.up": (4 * WIDTH, WIDTH),
    "mlp.down": (WIDTH, 4 * WIDTH),
}
FAULTS = {
    "layers.1.mlp.up.weight": "all zeros",
    "layers.2.attention.value.weight": "one NaN",
    "layers.3.mlp.down.weight": "4 times as large",
    "layers.4.attention.output.weight": "one value 200 times the 99th percentile",
    "layers.5.attention.query.weight": "10 times as large",
}
LENS_FINDING = re.compile(r"^\s*(error|warn|info)\s+([a-z-]+)\s+(layers\.\S+)\s+(.*\S)\s*$")
LENS_OMISSION = re.compile(r"^\s*(skipped)\s+(layers\.\S+)\s+(.*?\S)\s{2,}\S+\s*$")


def tensors(layers: int) -> Iterator[tuple[str, np.ndarray]]:
    """Gaussian rows of unequal norms, as training leaves them, with the faults in their places."""
    random = np.random.default_rng(0)
    for layer in range(layers):
        for part, (rows, columns) in SHAPES.items():
            name = f"layers.{layer}.{part}.weight"
            spread = np.exp(0.3 * random.standard_normal((rows, 1), np.float32))
            values = random.standard_normal((rows, columns), np.float32) * (np.float32(0.02) * spread)
            yield name, faulty(name, values)
        yield f"layers.{layer}.norm.weight", 1 + 0.1 * random.standard_normal(WIDTH, np.float32)
        yield f"layers.{layer}.mlp.up.bias", 0.1 * random.standard_normal(4 * WIDTH, np.float32)


def faulty(name: str, values: np.ndarray) -> np.ndarray:
    """The values, spoilt where `FAULTS` says so."""
    if name == "layers.1.mlp.up.weight":
        values[:] = 0
    elif name == "layers.2.attention.value.weight":
        values[7, 9] = np.nan
    elif name == "layers.3.mlp.down.weight":
        values *= 4
    elif name == "layers.4.attention.output.weight":
        values[100, 5] = 200 * np.quantile(np.abs(values), 0.99)
    elif name == "layers.5.attention.query.weight":
        values *= 10
    return values


def lens_findings(text: str) -> dict[str, list[str]]:
    """By weight, what `lens analyze` says in its tables."""
    found = defaultdict(list)
    for line in text.splitlines():
        if match := LENS_FINDING.match(line):
            found[match[3]].append(f"{match[1]} {match[2]} ({match[4]})")
        elif match := LENS_OMISSION.match(line):
            found[match[2]].append(f"{match[1]}: {match[3]}")
    return found


def our_findings(text: str) -> dict[str, list[str]]:
    """By weight, what `weightsmith check --json` says."""
    found = defaultdict(list)
    for finding in json.loads(text)["findings"]:
        found[finding["weight"]].append(f"{finding['severity']} {finding['code']} {finding['name']}")
    return found


def said(*arguments: str, store: Path) -> str:
    """What a command prints, in a terminal wide enough not to cut names."""
    wide = {**os.environ, "COLUMNS": "400", "WEIGHTSMITH_STORE": str(store)}
    return subprocess.run(arguments, capture_output=True, text=True, env=wide, check=False).stdout


def race(commands: dict[str, tuple[str, ...]], store: Path, gigabytes: float) -> None:
    taken = defaultdict(list)
    for _ in range(ROUNDS):
        for name, arguments in commands.items():
            taken[name].append(command(*arguments, store=store))
    seconds = {name: median(time for time, _ in runs) for name, runs in taken.items()}
    base = seconds["lens analyze"]
    print(f"{f'whole commands on {gigabytes:.2f} GB':40}{'s':>9}{'MB':>9}{'faster':>9}")
    for name, runs in taken.items():
        print(f"{name:40}{seconds[name]:9.2f}{max(peak for _, peak in runs):9.0f}{base / seconds[name]:9.1f}")


def compare(theirs: dict[str, list[str]], ours: dict[str, list[str]]) -> list[str]:
    """Print both side by side; the weights that weightlens alone names."""
    print("\nwhat is said of each weight")
    for name in sorted({*FAULTS, *theirs, *ours}):
        print(f"{name}: {FAULTS.get(name, 'sound')}")
        for who, found in (("weightlens", theirs), ("weightsmith", ours)):
            print(f"  {who:12} {'; '.join(found.get(name, ['-']))}")
    return sorted(set(theirs) - set(ours))


def main(gigabytes: float) -> int:
    lens = shutil.which("lens")
    if lens is None:
        sys.exit("weightlens is not installed: pip install weightlens==0.3.*")
    layer = sum(rows * columns for rows, columns in SHAPES.values()) * 4 / 1e9
    with tempfile.TemporaryDirectory() as name:
        path, store = Path(name) / "model.safetensors", Path(name) / "store"
        write_safetensors(path, dict(tensors(max(6, round(gigabytes / layer)))))
        path.read_bytes()
        # Raw norms are judged by weightlens only where asked for.
        analyze = (lens, "analyze", str(path), "--norm-threshold", "5")
        check = ("weightsmith", "check", str(path), "--no-cache", "--no-config")
        rivals = {
            "lens analyze": analyze,
            "weightsmith scan": ("weightsmith", "scan", "--no-cache", str(path)),
            "weightsmith check": check,
        }
        race(rivals, store, path.stat().st_size / 1e9)
        missed = compare(lens_findings(said(*analyze, store=store)), our_findings(said(*check, "--json", store=store)))
    print(f"\nnamed by weightlens alone: {', '.join(missed) or 'none'}")
    return int(bool(missed))


if __name__ == "__main__":
    sys.exit(main(float(sys.argv[1]) if len(sys.argv) > 1 else 1.0))

"""Fuzz the readers: `python benchmarks/fuzz.py torch --seconds 60`, or `--all`; `--blind` without coverage.

Coverage-guided fuzzing needs atheris (`pip install atheris`). Each format runs in a process of its own, whose memory
is limited; cases start from the seeds and mutations of `tests/fuzzing`. A case passes where the file is read, or is
refused in one printable line, within five seconds of processor time; `--blind` also listens for anything else that is
opened or run.

Prints, for each format: cases tried, share that opened, the slowest case, peak memory, and failures; a failing case is
kept in the folder given by `--keep`. Exit code 1 where there are any.
"""

import argparse
import contextlib
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from random import Random
from typing import Any

FUZZING = Path(__file__).resolve().parents[1] / "tests" / "fuzzing"
sys.path.insert(0, str(FUZZING))

MEMORY = 8 << 30
"""Bytes of address space of a process; torch and numba take some four gigabytes of it at rest."""


class Tally:
    """What happened so far; written to a file now and then, so that a killed process leaves its count."""

    def __init__(self, path: Path, keep: Path, name: str, *, watched: bool) -> None:
        self._watched = watched
        self.cases = self.opened = self.failures = 0
        self.slowest = 0.0
        self._path, self._keep, self._name = path, keep, name
        self._written = 0.0

    def judge(self, target: Any, path: Path, data: bytes) -> None:
        """Try one case."""
        from fuzz_judge import Escape, TooSlowError, judge

        path.write_bytes(data)
        began = time.process_time()
        try:
            self.opened += judge(target.opener, path, watched=self._watched) is None
        except (Exception, Escape, TooSlowError) as error:  # noqa: BLE001 - whatever it is, it is what is looked for
            self.failures += 1
            case = self._keep / f"{self._name}-{self.failures}.bin"
            case.write_bytes(data)
            print(f"{self._name}: {type(error).__name__}: {str(error)[:300]} ({case})", file=sys.stderr, flush=True)
        self.cases += 1
        self.slowest = max(self.slowest, time.process_time() - began)
        if time.monotonic() - self._written > 1:
            self.write()

    def write(self) -> None:
        """Leave the numbers for the parent."""
        self._written = time.monotonic()
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
        numbers = {"cases": self.cases, "opened": self.opened, "failures": self.failures}
        self._path.write_text(json.dumps({**numbers, "slowest": self.slowest, "peak": peak}))


def blind(name: str, seconds: float, tally: Tally, path: Path) -> None:
    """Random mutations at full speed."""
    from fuzz_mutations import mutate
    from fuzz_seeds import TARGETS, seeds

    known, end, random = seeds(name), time.monotonic() + seconds, Random(time.time_ns())
    while time.monotonic() < end:
        tally.judge(TARGETS[name], path, mutate(random.choice(known), random, known))
    tally.write()


def guided(name: str, seconds: float, tally: Tally, path: Path) -> None:
    """Mutations that reach new code are kept and mutated further."""
    import atheris
    from fuzz_mutations import mutate
    from fuzz_seeds import TARGETS, seeds

    target, known = TARGETS[name], seeds(name)
    corpus = path.parents[1] / "corpus"
    corpus.mkdir()
    for index, seed in enumerate(known):
        (corpus / str(index)).write_bytes(seed)

    def change(data: bytes, most: int, seed: int) -> bytes:
        random = Random(seed)
        inner = (
            atheris_mutation if random.random() < 0.3 else None
        )  # that of libFuzzer alone rarely leaves a valid file
        return mutate(data, random, known, inner)[:most]

    def atheris_mutation(data: bytes, random: Random) -> bytes:
        changed: bytes = atheris.Mutate(data, max(len(data) + 64, 64))
        return changed

    options = [
        f"-max_total_time={int(seconds)}",
        "-max_len=200000",
        "-len_control=0",
        "-rss_limit_mb=0",
        "-verbosity=0",
    ]
    atheris.Setup(
        [sys.argv[0], *options, str(corpus)], lambda data: tally.judge(target, path, data), custom_mutator=change
    )
    with contextlib.suppress(SystemExit):
        atheris.Fuzz()
    tally.write()


def child(name: str, seconds: float, how: str, report: Path, keep: Path) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    if how == "guided":
        import atheris

        with atheris.instrument_imports(include=["weightsmith"]):  # before anything else loads them
            import fuzz_seeds
    else:
        import fuzz_seeds
    with tempfile.TemporaryDirectory() as folder:
        inside = Path(folder) / "cases"
        inside.mkdir()
        tally = Tally(report, keep, name, watched=how == "blind")
        path = fuzz_seeds.lay(name, inside)
        blind(name, seconds, tally, path) if how == "blind" else guided(name, seconds, tally, path)


def run(name: str, seconds: float, how: str, keep: Path) -> dict[str, Any]:
    """Fuzz one format in a process of its own and read what it left."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        command = [
            sys.executable,
            __file__,
            name,
            "--seconds",
            str(seconds),
            "--keep",
            str(keep),
            "--child",
            str(report),
        ]
        ended = subprocess.run(
            [*command, *(["--blind"] if how == "blind" else [])], check=False, stdout=subprocess.DEVNULL
        )
        found: dict[str, Any] = json.loads(report.read_text()) if report.exists() else {"cases": 0, "failures": 0}
    # libFuzzer leaves with a code of its own when its time is over; a signal is a crash of the interpreter
    found["crashed"] = ended.returncode < 0
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("formats", nargs="*", metavar="FORMAT", help="safetensors, torch, onnx, ...")
    parser.add_argument("--all", action="store_true", help="every format")
    parser.add_argument("--seconds", type=float, default=60, help="for each format [60]")
    parser.add_argument("--blind", action="store_true", help="random mutations, without coverage and atheris")
    parser.add_argument("--keep", type=Path, default=Path(tempfile.gettempdir()), help="folder for failing cases")
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    how = "blind" if given.blind else "guided"
    if given.child:
        child(given.formats[0], given.seconds, how, given.child, given.keep)
        return
    from fuzz_seeds import TARGETS

    names = list(TARGETS) if given.all else given.formats
    unknown = [name for name in names if name not in TARGETS]
    if unknown or not names:
        parser.error(f"choose from {', '.join(TARGETS)}, or --all")
    if how == "guided":
        try:
            import atheris  # noqa: F401
        except ImportError:
            sys.exit("coverage-guided fuzzing needs atheris: pip install atheris, or use --blind")
    print(f"{'format':14}{'cases':>9}{'opened':>9}{'slowest':>10}{'peak':>10}{'failures':>10}   ({how})")
    bad = False
    for name in names:
        found = run(name, given.seconds, how, given.keep)
        bad |= bool(found["failures"] or found["crashed"] or not found["cases"])
        opened = found.get("opened", 0) / max(found["cases"], 1)
        print(
            f"{name:14}{found['cases']:9,}{opened:9.1%}{found.get('slowest', 0):9.2f}s{found.get('peak', 0):8,}MB"
            f"{found['failures']:10}{'   CRASHED' if found['crashed'] else ''}",
            flush=True,
        )
    sys.exit(int(bad))


if __name__ == "__main__":
    main()

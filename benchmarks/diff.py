"""How fast two checkpoints are compared, against merely reading both: `python benchmarks/diff.py [GIGABYTES]`.

The two files (4 GB each unless told otherwise) are written to a temporary folder and lie in the page cache; what is
quoted is a ratio within one run, the median of several.
"""

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from weightsmith.analysis.diff import diff
from weightsmith.kernels.parallel import threads
from weightsmith.sources import open as open_source
from weightsmith.sources import write_safetensors

ROUNDS = 5
AIM = 0.25
CHUNK = 1 << 24


def write_pair(folder: Path, gigabytes: float) -> tuple[Path, Path]:
    rng = np.random.default_rng(0)
    rows = max(1, int(gigabytes * 1e9 / 4 / 4096 / 64))
    tensor = rng.standard_normal((rows, 4096), np.float32)
    step = 1e-3 * rng.standard_normal((rows, 4096), np.float32)
    before, after = folder / "before.safetensors", folder / "after.safetensors"
    write_safetensors(before, {f"layer.{i}.weight": tensor for i in range(64)})
    write_safetensors(after, {f"layer.{i}.weight": tensor + step for i in range(64)})
    return before, after


def values_start(path: Path) -> int:
    """Where the tensors begin: after the header and the eight bytes of its length."""
    with path.open("rb") as file:
        return 8 + int.from_bytes(file.read(8), "little")


def read(path: Path) -> None:
    """Read a file through one small buffer, as fast as one thread can."""
    buffer = memoryview(bytearray(CHUNK))
    with path.open("rb", buffering=0) as file:
        while file.readinto(buffer):
            pass


def seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def main() -> None:
    gigabytes = float(sys.argv[1]) if len(sys.argv) > 1 else 4.0
    with tempfile.TemporaryDirectory() as folder:
        before, after = write_pair(Path(folder), gigabytes)
        sources = open_source(before), open_source(after)
        diff(*sources)  # compiles, and brings both files into the page cache
        read_both, summed, compared = [], [], []
        for _ in range(ROUNDS):
            read_both.append(seconds(lambda: (read(before), read(after))))
            mapped = [np.memmap(path, np.float32, offset=values_start(path)) for path in (before, after)]
            summed.append(seconds(lambda mapped=mapped: [np.sum(part) for part in mapped]))
            compared.append(seconds(lambda: diff(*sources)))
        total = sum(path.stat().st_size for path in (before, after)) / 1e9
        print(f"two files of {total / 2:.1f} GB, {threads()} threads, medians of {ROUNDS} rounds")
        for label, times in (("read both", read_both), ("numpy.sum of both", summed), ("diff", compared)):
            print(f"  {label:<18} {total / statistics.median(times):5.1f} GB/s")
        for label, times in (("reading both", read_both), ("numpy.sum of both", summed)):
            ratio = statistics.median(other / own for other, own in zip(times, compared, strict=True))
            print(f"diff goes at {ratio:.2f} of the rate of {label} (aim {AIM})")


if __name__ == "__main__":
    main()

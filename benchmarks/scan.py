"""The scan of a large file beside NumPy and weightlens, and whole commands: `python benchmarks/scan.py [GB]`.

Makes a float32 safetensors file of so many gigabytes (4 by default) in a temporary folder (`TMPDIR`), reads it once so
that it lies in the page cache, and lets the rivals take turns, each in a process of its own or, for rates, in this one.
Memory is the peak that the system counts for a process (`VmHWM`), mapped pages included.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from statistics import median

import numpy as np

from weightsmith.scan import Cache, scan
from weightsmith.sources import open as open_source
from weightsmith.sources import write_safetensors

ROUNDS = 5
LENS_GB = 1.0
COMMAND_GB = 0.09

SCAN = """
    from weightsmith.sources import open
    from weightsmith.scan import scan
    from weightsmith.scan.table import rows
    table = rows(scan(open(path)).summaries)
"""

NUMPY = """
    import json, struct
    import numpy as np
    with open(path, "rb") as file:
        length = struct.unpack("<Q", file.read(8))[0]
        header = json.loads(file.read(length))
    table = []
    for name, entry in header.items():
        shape, (begin, end) = entry["shape"], entry["data_offsets"]
        x = np.memmap(path, np.float32, "r", 8 + length + begin, (end - begin) // 4)
        finite = x[np.isfinite(x)].astype(np.float64)
        mean, std = finite.mean(), finite.std()
        z = (finite - mean) / std
        table.append({
            "name": name, "shape": shape, "elements": x.size, "bytes": x.nbytes, "mean": mean, "std": std,
            "min": finite.min(), "max": finite.max(),
            "quantiles": np.quantile(finite, [0.001, 0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 0.999]),
            "zeros": (finite == 0).sum(), "nan": np.isnan(x).sum(), "inf": np.isinf(x).sum(),
            "subnormals": ((np.abs(finite) < 2.0**-126) & (finite != 0)).sum(),
            "skewness": (z**3).mean(), "kurtosis": (z**4).mean() - 3, "outliers": (np.abs(z) > 6).mean(),
            "l1": np.abs(finite).sum(), "l2": np.sqrt((finite**2).sum()),
            "bits": np.bitwise_or.reduce(x.view(np.uint32)),
        })
"""

REPORT = """
    peak = next(int(line.split()[1]) for line in open_("/proc/self/status") if line.startswith("VmHWM")) / 1024
    print(time.perf_counter() - began, peak)
"""


def make(path: Path, gigabytes: float, width: int = 4096) -> None:
    """Layers of one large matrix and one bias each, of Gaussian values."""
    elements = int(gigabytes * 1e9 / 4)
    layers = max(1, round(elements / (32 << 20)))
    rows = max(1, elements // layers // width)
    random = np.random.default_rng(0)
    block = random.standard_normal((rows, width), np.float32) * np.float32(0.02)
    tensors = {f"layers.{i}.weight": block for i in range(layers)}
    tensors |= {f"layers.{i}.bias": random.standard_normal(rows, np.float32) for i in range(layers)}
    write_safetensors(path, tensors)


def in_process(code: str, path: Path) -> tuple[float, float]:
    """Seconds after start-up of the interpreter, and peak memory in MB, of a script that reads `path`."""
    whole = "import time\nopen_ = open\nbegan = time.perf_counter()\n"
    whole += f"path = {str(path)!r}\n{textwrap.dedent(code)}\n{textwrap.dedent(REPORT)}"
    ran = subprocess.run([sys.executable, "-c", whole], capture_output=True, text=True, check=True)
    seconds, peak = map(float, ran.stdout.split()[-2:])
    return seconds, peak


def command(*arguments: str, store: Path) -> tuple[float, float]:
    """Seconds and peak memory in MB of a whole command."""
    began = time.perf_counter()
    process = subprocess.Popen(
        arguments, stdout=subprocess.DEVNULL, env={**os.environ, "WEIGHTSMITH_STORE": str(store)}
    )
    peak = 0.0
    while process.poll() is None:
        peak = max(peak, _peak(process.pid))
        time.sleep(0.005)
    return time.perf_counter() - began, peak


def _peak(pid: int) -> float:
    """VmHWM in MB; not `ru_maxrss`, which counts this process's own memory before the command replaced it."""
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM"):
                return int(line.split()[1]) / 1024
    return 0.0


def turns(rivals: dict[str, Callable[[], object]], rounds: int = ROUNDS) -> dict[str, float]:
    """Median seconds of each, taken in turns so that whatever else the machine does meets all."""
    taken: dict[str, list[float]] = {name: [] for name in rivals}
    for call in rivals.values():
        call()
    for _ in range(rounds):
        for name, call in rivals.items():
            began = time.perf_counter()
            call()
            taken[name].append(time.perf_counter() - began)
    return {name: median(times) for name, times in taken.items()}


def rates(path: Path, folder: Path) -> None:
    size = path.stat().st_size
    mapped = np.memmap(path, np.float32, "r", offset=size % 4)
    source = open_source(path)

    def and_cached() -> None:
        shutil.rmtree(folder / "scans", ignore_errors=True)
        scan(source, cache=Cache(folder / "scans"))

    found = turns(
        {"numpy.sum of the same mmap": mapped.sum, "scan": lambda: scan(source), "scan and keep it": and_cached}
    )
    base = found["numpy.sum of the same mmap"]
    print(f"{'in this process, in the page cache':40}{'s':>9}{'GB/s':>9}{'of sum':>9}")
    for name, seconds in found.items():
        print(f"{name:40}{seconds:9.3f}{size / seconds / 1e9:9.2f}{base / seconds:9.2f}")


def processes(path: Path) -> None:
    runs = [in_process(SCAN, path) for _ in range(3)]
    ours = median(seconds for seconds, _ in runs)
    seconds, peak = in_process(NUMPY, path)
    print(f"\n{'processes of their own, imports included':40}{'s':>9}{'MB':>9}{'times':>9}")
    print(f"{'scan with all columns':40}{ours:9.2f}{max(peak for _, peak in runs):9.0f}{1:9.1f}")
    print(f"{'NumPy script of the same table':40}{seconds:9.2f}{peak:9.0f}{seconds / ours:9.1f}")


def commands(folder: Path) -> None:
    small = folder / "small.safetensors"
    make(small, COMMAND_GB, width=384)
    os.utime(small, (1, 1))
    time.sleep(2.5)  # files written just now are not known by their times
    store = folder / "store"
    cold, warm = [], []
    for _ in range(ROUNDS):
        shutil.rmtree(store, ignore_errors=True)
        cold.append(command("weightsmith", "scan", str(small), store=store)[0])
        warm.append(command("weightsmith", "scan", str(small), store=store)[0])
    print(f"\n{f'weightsmith scan of {COMMAND_GB * 1000:.0f} MB, whole process':40}{'s':>9}")
    print(f"{'cold':40}{median(cold):9.2f}\n{'cached':40}{median(warm):9.2f}")


def against_weightlens(folder: Path, gigabytes: float) -> None:
    lens = shutil.which("lens")
    if lens is None:
        print("\nweightlens is not installed (pip install weightlens==0.3.*): skipped")
        return
    path = folder / "lens.safetensors"
    make(path, gigabytes)
    path.read_bytes()
    store = folder / "store"
    theirs, ours, check = [], [], []
    for _ in range(3):
        theirs.append(command(lens, "analyze", str(path), store=store))
        ours.append(command("weightsmith", "scan", "--no-cache", str(path), store=store))
        check.append(command("weightsmith", "check", str(path), store=store))
    path.unlink()
    base = median(seconds for seconds, _ in theirs)
    print(f"\n{f'whole commands on {gigabytes:g} GB':40}{'s':>9}{'MB':>9}{'faster':>9}")
    for name, runs in (("lens analyze", theirs), ("weightsmith scan", ours), ("weightsmith check", check)):
        seconds = median(seconds for seconds, _ in runs)
        print(f"{name:40}{seconds:9.2f}{max(peak for _, peak in runs):9.0f}{base / seconds:9.1f}")


def main(gigabytes: float) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        free = shutil.disk_usage(folder).free / 1e9
        needed = gigabytes + min(LENS_GB, gigabytes) + 0.5
        if free < needed:
            sys.exit(
                f"{folder} has {free:.1f} GB free, and {needed:.1f} are needed: set TMPDIR or give fewer gigabytes"
            )
        path = folder / "large.safetensors"
        make(path, gigabytes)
        subprocess.run(["cat", str(path)], stdout=subprocess.DEVNULL, check=True)
        size = path.stat().st_size / 1e9
        print(f"{size:.2f} GB of float32, {len(open_source(path))} tensors; {os.cpu_count()} processors")
        rates(path, folder)
        processes(path)
        path.unlink()
        commands(folder)
        against_weightlens(folder, min(LENS_GB, gigabytes))


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 4.0)

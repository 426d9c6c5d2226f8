"""Where a run took place: versions, processor, threads, host."""

import os
import platform
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

_PACKAGES = ("weightsmith", "torch", "numpy", "numba")


def environment() -> dict[str, Any]:
    """What somebody needs to know to read a run's timings or repeat it, as plain JSON values.

    Returns:
        `python`, `packages` (name to version), `platform`, `processor`, `cores` (that this process may use),
        `threads` (torch's), `devices` (names of the CUDA devices), `host`, `process` and `command`.
    """
    return {
        "python": platform.python_version(),
        "packages": {name: found for name in _PACKAGES if (found := _version(name))},
        "platform": platform.platform(),
        "processor": _processor(),
        "cores": _cores(),
        "threads": torch.get_num_threads(),
        "devices": [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())],
        "host": platform.node(),
        "process": os.getpid(),
        "command": Path(sys.argv[0]).name if sys.argv else "",
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _processor() -> str:
    # Linux alone leaves platform.processor() empty and keeps the name here.
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1

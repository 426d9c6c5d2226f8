"""Shared fixtures: every test gets a store of its own, one thread, and the real data only where it is there."""

import asyncio
import os
import signal
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MPLBACKEND", "agg")
# A process that has multiplied matrices on a GPU without it gets warnings, here errors, from deterministic trainings.
os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile("default", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("thorough", parent=settings.get_profile("default"), max_examples=2000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))

OF_GPUS = os.environ.get("WEIGHTSMITH_TEST_CUDA") == "1"
"""Whether the tests named `test_cuda.py` run too; without, no test sees a GPU, wherever it runs."""
if not OF_GPUS:
    os.environ["CUDA_VISIBLE_DEVICES"] = ""

SHARED = Path(__file__).parents[1].parent / "shared"


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    """Leave tests of GPUs out where they are not asked for: hundreds of skips would hide those that matter."""
    return True if collection_path.name == "test_cuda.py" and not OF_GPUS else None


@pytest.fixture(autouse=True)
def no_event_loop(request: pytest.FixtureRequest) -> Iterator[None]:
    """What a test runs may begin an event loop: that of a browser of other tests is none of its business."""
    loop = None if "browser" in request.fixturenames else asyncio._get_running_loop()
    if loop is None:
        yield
        return
    asyncio._set_running_loop(None)
    yield
    asyncio._set_running_loop(loop)


@pytest.fixture(autouse=True)
def private_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Nothing a test does may reach the user's own store."""
    folder = tmp_path / "store"
    monkeypatch.setenv("WEIGHTSMITH_STORE", str(folder))
    monkeypatch.setenv("WEIGHTSMITH_FILES", str(tmp_path / "files"))
    return folder


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real data and weights beside the checkout."""
    if not SHARED.is_dir():
        pytest.skip(f"real data is not there: {SHARED} does not exist")
    return SHARED


@pytest.fixture(scope="session")
def cuda() -> "torch.device":
    """A GPU, which tests named `test_cuda.py` are about."""
    import torch

    if not torch.cuda.is_available():
        pytest.skip("torch finds no GPU here")
    return torch.device("cuda")


@pytest.fixture(scope="session")
def nobody_waits() -> Callable[[], AbstractContextManager[None]]:
    """Context in which whoever waits for a GPU fails."""
    import torch

    @contextmanager
    def watching() -> Iterator[None]:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # that it is a prototype
                torch.cuda.set_sync_debug_mode("error")
            yield
        finally:
            torch.cuda.set_sync_debug_mode("default")

    return watching


@pytest.fixture(scope="session")
def said_together() -> Callable[..., list[str]]:
    """`said_together(script, *arguments, processes=2)`: the lines that processes print that train together.

    All of them are stopped where they take too long.
    """

    def said(script: Path, *arguments: str, processes: int = 2) -> list[str]:
        launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
        started = subprocess.Popen(
            [sys.executable, *(launcher if processes > 1 else []), str(script), *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            start_new_session=True,
        )
        try:
            lines, errors = started.communicate(timeout=200)
        except subprocess.TimeoutExpired:
            os.killpg(started.pid, signal.SIGKILL)
            started.communicate()
            raise
        assert started.returncode == 0, errors[-3000:]
        return lines.splitlines()

    return said

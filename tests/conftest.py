"""Shared fixtures: every test gets a store of its own, one thread, and the real data only where it is there."""

import os
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MPLBACKEND", "agg")

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile("default", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("thorough", parent=settings.get_profile("default"), max_examples=2000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))

SHARED = Path(__file__).parents[1].parent / "shared"


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

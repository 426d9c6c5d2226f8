"""Lets the modules of this folder import each other, which `importlib` mode does not do by itself."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(scope="session")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder that every case writes its files into anew."""
    return tmp_path_factory.mktemp("fuzzing")

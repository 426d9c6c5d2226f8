import os
import subprocess
import sys
import textwrap
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import sqlalchemy

from weightsmith.store import RunWriter, Store
from weightsmith.weight import WeightInfo

SERVER = os.environ.get("WEIGHTSMITH_TEST_POSTGRES", "")

Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture(params=["sqlite", "postgresql"])
def location(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A place for a store that no other test uses, on each back end."""
    if request.param == "sqlite":
        yield str(tmp_path / "store")
        return
    if not SERVER:
        pytest.skip("WEIGHTSMITH_TEST_POSTGRES names no PostgreSQL server; .ci/postgres.sh starts one")
    monkeypatch.setenv("WEIGHTSMITH_FILES", str(tmp_path / "files"))
    schema = f"test_{uuid.uuid4().hex}"
    server = sqlalchemy.create_engine(SERVER.replace("postgresql://", "postgresql+psycopg://"))
    with server.begin() as connection:
        connection.execute(sqlalchemy.text(f"CREATE SCHEMA {schema}"))
    try:
        yield f"{SERVER}?options=-csearch_path%3D{schema}"
    finally:
        with server.begin() as connection:
            connection.execute(sqlalchemy.text(f"DROP SCHEMA {schema} CASCADE"))
        server.dispose()


@pytest.fixture
def store(location: str) -> Iterator[Store]:
    with Store.open(location) as opened:
        yield opened


@pytest.fixture
def begin(store: Store) -> Callable[..., RunWriter]:
    def create(name: str | None = None) -> RunWriter:
        info = WeightInfo("fc.weight", (2, 3), "float32", "linear", "Linear", "relu")
        return store.create_run(name=name, recipe={"model": "mlp"}, environment={"python": "3"}, weights=[info])

    return create


@pytest.fixture
def start() -> Iterator[Start]:
    """Start Python code in another process; its standard output is read line by line."""
    begun: list[subprocess.Popen[str]] = []

    def run(code: str, *arguments: str) -> "subprocess.Popen[str]":
        command = [sys.executable, "-u", "-c", textwrap.dedent(code), *arguments]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True)
        begun.append(process)
        return process

    yield run
    for process in begun:
        process.kill()
        process.communicate()

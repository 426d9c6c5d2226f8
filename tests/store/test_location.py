import sys
from pathlib import Path

import pytest

from weightsmith.errors import MissingExtraError, StoreError
from weightsmith.store import Store
from weightsmith.store.location import locate


def test_a_folder(tmp_path):
    found = locate(tmp_path / "runs")
    assert (found.address, found.files) == (str(tmp_path / "runs" / "weightsmith.db"), tmp_path / "runs" / "files")
    assert found.label == str(tmp_path / "runs")
    assert not found.is_postgres


@pytest.mark.parametrize("name", ["team.db", "team.sqlite", "team.sqlite3"])
def test_a_file(tmp_path, name):
    found = locate(str(tmp_path / name))
    assert (found.address, found.files) == (str(tmp_path / name), tmp_path / "team.files")
    assert locate(f"sqlite:///{tmp_path / name}").address == str(tmp_path / name)


def test_relative_paths_and_home(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert locate("runs").address == str(tmp_path / "runs" / "weightsmith.db")
    assert locate("sqlite:///a.db").address == str(tmp_path / "a.db")
    assert locate("~/runs").files == tmp_path / "runs" / "files"


def test_the_home_of_nobody(monkeypatch):
    with pytest.raises(StoreError, match="no home folder"):
        locate("~no-such-user-here/runs")
    monkeypatch.setenv("WEIGHTSMITH_FILES", "~no-such-user-here/runs")
    with pytest.raises(StoreError, match="no home folder"):
        locate("postgresql://host/database")


def test_a_folder_with_a_files_suffix_stays_a_folder(tmp_path):
    (tmp_path / "odd.db").mkdir()
    assert locate(tmp_path / "odd.db").address == str(tmp_path / "odd.db" / "weightsmith.db")


def test_the_environment_and_the_default(tmp_path, monkeypatch):
    monkeypatch.setenv("WEIGHTSMITH_STORE", str(tmp_path / "here"))
    assert locate(None).label == str(tmp_path / "here")
    monkeypatch.delenv("WEIGHTSMITH_STORE")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    if sys.platform == "linux":
        assert locate(None).address == str(tmp_path / "weightsmith" / "weightsmith.db")


def test_a_server(tmp_path, monkeypatch):
    monkeypatch.setenv("WEIGHTSMITH_FILES", str(tmp_path))
    for scheme in ("postgres", "postgresql", "postgresql+psycopg"):
        found = locate(f"{scheme}://me:secret@db.example:5433/team?sslmode=require")
        assert found.address == "postgresql+psycopg://me:secret@db.example:5433/team?sslmode=require"
        assert found.label == "postgresql://me@db.example:5433/team"
        assert found.files == tmp_path
        assert found.is_postgres
    monkeypatch.delenv("WEIGHTSMITH_FILES")
    assert locate("postgresql://db/team").files.name == "files"


@pytest.mark.parametrize("address", ["mysql://me:secret@host/db", "http://host", "postgresql://me:secret@host:port/db"])
def test_other_addresses_are_refused_without_their_password(address):
    with pytest.raises(StoreError) as caught:
        locate(address)
    assert "secret" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_no_store(tmp_path):
    path = tmp_path / "model.safetensors"
    path.write_bytes(b"")
    with pytest.raises(StoreError, match="is a file, not a store"):
        locate(path)


def test_missing_psycopg_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(MissingExtraError, match=r'pip install "weightsmith\[postgres\]"'):
        Store.open("postgresql://127.0.0.1/x")


def test_unreachable_server():
    pytest.importorskip("psycopg")
    with pytest.raises(StoreError) as caught:
        Store.open("postgresql://me:secret@127.0.0.1:1/x")
    assert "secret" not in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "postgresql://me@127.0.0.1:1/x" in str(caught.value)


def test_a_folder_that_cannot_be_made(tmp_path):
    Path(tmp_path / "file").write_bytes(b"")
    with pytest.raises(StoreError, match="cannot create the store's folder"):
        Store.open(tmp_path / "file" / "below")

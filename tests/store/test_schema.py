import sqlite3

import pytest
import sqlalchemy
from sqlalchemy import Connection, inspect, text

from weightsmith.errors import StoreError
from weightsmith.store import Event, Store, schema


def add_column(connection: Connection) -> None:
    connection.execute(text("ALTER TABLE weightsmith_runs ADD COLUMN mood TEXT DEFAULT 'calm'"))


def add_table(connection: Connection) -> None:
    connection.execute(text("CREATE TABLE weightsmith_later (mood TEXT)"))


def fail_half_way(connection: Connection) -> None:
    connection.execute(text("CREATE TABLE weightsmith_half (mood TEXT)"))
    connection.execute(text("THIS IS NOT SQL"))


def version(store: Store) -> int:
    with store._database.read() as connection:
        return schema.stored_version(connection, store.label)


def set_version(store: Store, value: str) -> None:
    with store._database.write() as connection:
        connection.execute(sqlalchemy.update(schema.meta).values(value=value))


def test_a_new_store_has_the_current_version(store):
    assert version(store) == schema.current_version()


def test_an_older_store_is_brought_forward_step_by_step(store, begin, location, monkeypatch):
    begin("old").write(series={("loss", None): ([1], [1.0])})
    store.close()
    monkeypatch.setattr(schema, "MIGRATIONS", (*schema.MIGRATIONS, add_column, add_table))
    expected = schema.current_version()
    for _ in range(2):  # no step runs twice: both would fail
        with Store.open(location) as newer:
            assert version(newer) == expected
            with newer._database.read() as connection:
                assert connection.scalar(text("SELECT mood FROM weightsmith_runs")) == "calm"
                assert inspect(connection).has_table("weightsmith_later")
            assert newer.run("old").series("loss").values.tolist() == [1.0]


def test_a_step_that_fails_leaves_the_store_as_it_was(store, begin, location, monkeypatch):
    begin("old")
    before = version(store)
    with monkeypatch.context() as patch:
        patch.setattr(schema, "MIGRATIONS", (*schema.MIGRATIONS, add_column, fail_half_way))
        with pytest.raises(StoreError):
            Store.open(location)
    assert version(store) == before
    with store._database.read() as connection:
        assert not inspect(connection).has_table("weightsmith_half")
        assert "mood" not in {column["name"] for column in inspect(connection).get_columns("weightsmith_runs")}
    assert store.run().name == "old"


def test_a_store_from_before_tags_gets_them(store, begin, location):
    run = begin("old").id
    with store._database.write() as connection:
        for column in ("tags", "note", "annotated"):
            connection.execute(text(f"ALTER TABLE weightsmith_runs DROP COLUMN {column}"))
    set_version(store, "1")
    store.close()
    with Store.open(location) as newer:
        (old,) = newer.runs()
        assert (old.name, old.tags, old.note) == ("old", (), None)
        newer.annotate(run, tags="baseline", note="kept")
        assert (newer.run("old").tags, newer.run("old").note) == (("baseline",), "kept")
        with newer._database.write() as connection:  # as the older release, which is still training, begins a run
            older = "INSERT INTO weightsmith_runs (id, status, created, updated, machine, process, writer, summary, "
            older += "environment, weights) SELECT '20200101-000000-abcd', status, created, updated, machine, process, "
            older += "writer, summary, environment, weights FROM weightsmith_runs"
            connection.execute(text(older))
        assert newer.run("20200101").tags == ()


def test_a_newer_store_is_refused_naming_both_versions(store, location):
    set_version(store, "7")
    with pytest.raises(StoreError, match=rf"schema version 7, .* up to {schema.current_version()}: upgrade") as caught:
        Store.open(location)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("value", ["seven", "0", "-1"])
def test_a_store_whose_version_was_overwritten_is_refused(store, location, value):
    set_version(store, value)
    with pytest.raises(StoreError, match="damaged") as caught:
        Store.open(location)
    assert "\n" not in str(caught.value)


def test_a_store_shares_a_database_with_others(tmp_path):
    path = tmp_path / "shared.db"
    other = sqlite3.connect(path)
    other.execute("CREATE TABLE runs (id INTEGER)")
    other.execute("INSERT INTO runs VALUES (1)")
    other.commit()
    with Store.open(path) as store:
        store.create_run(name=None, recipe=None, environment={}, weights=[])
        assert len(store.runs()) == 1
    assert other.execute("SELECT * FROM runs").fetchall() == [(1,)]
    other.close()


@pytest.mark.parametrize("junk", [b"this is no database" * 100, b"SQLite format 3\0" + b"\xff" * 5000])
def test_a_corrupt_file_is_refused_in_one_line(tmp_path, junk):
    path = tmp_path / "weightsmith.db"
    path.write_bytes(junk)
    with pytest.raises(StoreError, match="damaged") as caught:
        Store.open(tmp_path)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)
    assert path.read_bytes() == junk


def test_corrupt_pages_are_told_in_one_line(tmp_path):
    with Store.open(tmp_path) as store:
        run = store.create_run(name=None, recipe=None, environment={}, weights=[])
        for step in range(50):
            run.write(series={("loss", None): (range(step, step + 200), [0.0] * 200)})
    path = tmp_path / "weightsmith.db"
    raw = bytearray(path.read_bytes())
    for page in range(4096 * 3, len(raw), 4096):
        raw[page : page + 100] = b"\xff" * 100
    path.write_bytes(raw)
    with pytest.raises(StoreError, match="damaged") as caught, Store.open(tmp_path) as store:
        store.run().series("loss")
    assert "\n" not in str(caught.value)


def test_sqlite_is_set_to_be_safe(tmp_path):
    with Store.open(tmp_path) as store, store._database.read() as connection:
        settings = [connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in ("journal_mode", "synchronous")]
        assert settings == ["wal", 2]  # 2 is FULL
        assert connection.exec_driver_sql("PRAGMA foreign_keys").scalar() == 1


DAMAGE = [
    ("runs", "created", "{x"),
    ("runs", "created", "2026-01-01T00:00:00"),
    ("runs", "summary", "{x"),
    ("runs", "summary", "[]"),
    ("runs", "recipe", "[]"),
    ("runs", "environment", "null"),
    ("runs", "weights", "5"),
    ("runs", "weights", "[{}]"),
    ("runs", "weights", "[3]"),
    ("series", "steps", b"\1"),
    ("series", "values", b"12345678"),
    ("events", "payload", "[]"),
]
# SQLite alone takes them, whatever the column's type
MISTYPED = [
    ("runs", "created", b"\xff"),
    ("runs", "summary", b"\xff"),
    ("series", "steps", "x"),
    ("events", "step", "x"),
]


def read_all(store: Store) -> None:
    store.runs()
    run = store.run()
    run.series("loss")
    run.events()


@pytest.mark.parametrize(("table", "column", "value"), DAMAGE)
def test_damaged_values_are_told_in_one_line(store, begin, table, column, value):
    begin().write(series={("loss", None): ([1, 2], [1.0, 2.0])}, events=[Event(1, "verdict", {})])
    read_all(store)
    with store._database.write() as connection:
        connection.execute(text(f'UPDATE weightsmith_{table} SET "{column}" = :value'), {"value": value})
    with pytest.raises(StoreError, match="damaged") as caught:
        read_all(store)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("table", "column", "value"), MISTYPED)
def test_values_of_another_type_are_told_in_one_line(tmp_path, table, column, value):
    with Store.open(tmp_path) as store:
        writer = store.create_run(name=None, recipe=None, environment={}, weights=[])
        writer.write(series={("loss", None): ([1], [1.0])}, events=[Event(1, "verdict", {})])
        with store._database.write() as connection:
            connection.execute(text(f"UPDATE weightsmith_{table} SET {column} = :value"), {"value": value})
        with pytest.raises(StoreError, match="damaged"):
            read_all(store)

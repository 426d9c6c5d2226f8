import os
import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
import sqlalchemy
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from weightsmith.errors import InputError, StoreError
from weightsmith.sketch import Sketch
from weightsmith.store import Event, RunSummary, SketchRecord, Store, liveness, schema, writer
from weightsmith.weight import WeightInfo


def one_line(caught: pytest.ExceptionInfo[StoreError]) -> str:
    text = str(caught.value)
    assert "\n" not in text
    return text


def test_a_new_store_is_empty(store):
    assert store.runs() == []
    with pytest.raises(StoreError, match="holds no run yet"):
        store.run()


def test_a_run_comes_back_as_it_was_written(store):
    info = WeightInfo("fc.weight", (2, 3), "bfloat16", "linear", "Linear", "relu", "tied")
    before = datetime.now(UTC)
    run = store.create_run(
        name="first try", recipe={"lr": 1e-3, "hidden": [3, 4]}, environment={"host": "ß"}, weights=[info]
    )
    read = store.run(run.id)
    assert re.fullmatch(r"\d{8}-\d{6}-[0-9a-z]{4}", run.id)
    assert (read.id, read.name, read.status, read.summary, read.error) == (run.id, "first try", "running", {}, None)
    assert read.recipe == {"lr": 1e-3, "hidden": [3, 4]}
    assert read.environment == {"host": "ß"}
    assert read.weights == [info]
    assert before <= read.created <= datetime.now(UTC)
    assert read.created.utcoffset() == timedelta(0)
    assert read.finished is None
    run.finish("failed", "it broke")
    ended = store.run()
    assert (ended.status, ended.error) == ("failed", "it broke")
    assert ended.created <= ended.finished <= datetime.now(UTC)


def test_series_sketches_and_events(store, begin):
    run = begin()
    sketch = Sketch.of(np.arange(5, dtype=np.float32))
    run.write(
        series={("loss", None): ([1, 2], [0.5, float("nan")]), ("norm", "fc.weight"): (np.arange(3), np.ones(3))},
        sketches=[SketchRecord("fc.weight", "weight", 2, sketch), SketchRecord("fc.weight", "gradient", 1, sketch)],
        events=[Event(2, "verdict", {"evidence": {"gap": float("inf")}}), Event(1, "checkpoint", {})],
    )
    run.write(
        series={("loss", None): ([3], [float("-inf")])}, sketches=[SketchRecord("fc.weight", "weight", 1, sketch)]
    )
    read = store.run()
    loss = read.series("loss")
    assert loss.steps.dtype == np.int64
    assert loss.values.dtype == np.float64
    assert loss.steps.tolist() == [1, 2, 3]
    np.testing.assert_array_equal(loss.values, [0.5, np.nan, -np.inf])
    assert len(read.series("nothing")) == 0
    assert len(read.series("loss", "fc.weight")) == 0
    assert read.series_names() == [("loss", None), ("norm", "fc.weight")]
    assert [step for step, _ in read.sketches("fc.weight")] == [1, 2]
    assert read.sketches("fc.weight")[0][1].to_bytes() == sketch.to_bytes()
    assert [step for step, _ in read.sketches("fc.weight", "gradient")] == [1]
    assert read.events() == [Event(2, "verdict", {"evidence": {"gap": float("inf")}}), Event(1, "checkpoint", {})]
    assert read.events("checkpoint") == [Event(1, "checkpoint", {})]


def test_bad_input_is_refused_and_nothing_is_written(store, begin):
    run = begin()
    for broken in (([1, 2], [1.0]), ([1.5], [1.0]), ([[1]], [[1.0]])):
        with pytest.raises(InputError, match="series 'loss'"):
            run.write(series={("good", None): ([1], [1.0]), ("loss", None): broken}, events=[Event(1, "a", {})])
    with pytest.raises(InputError, match="cannot be stored as JSON"):
        run.write(series={("good", None): ([1], [1.0])}, events=[Event(1, "a", {"b": object()})])
    with pytest.raises(InputError, match="unknown quantity of a sketch"):
        run.write(sketches=[SketchRecord("a", "other", 1, Sketch.empty())])
    with pytest.raises(InputError, match="unknown final status"):
        run.finish("lost")
    read = store.run()
    assert read.series_names() == []
    assert read.events() == []


@pytest.mark.parametrize("name", ["", "a\x1b[0m", "a\nb", "x" * 201, "latest"])
def test_unusable_run_names(store, name):
    with pytest.raises(InputError, match="cannot be called"):
        store.create_run(name=name, recipe=None, environment={}, weights=[])


def test_text_that_a_database_cannot_hold_is_kept_escaped(store, begin):
    run = begin()
    run.write(series={("a\0b", "\ud800"): ([1], [1.0])}, events=[Event(1, "k\0", {"\0": "\ud800"})])
    run.finish("failed", "bad \0 byte \ud800")
    read = store.run()
    assert read.series("a\0b", "\ud800").values.tolist() == [1.0]
    assert read.series_names() == [("a\\x00b", "\\ud800")]
    assert read.events() == [Event(1, "k\\x00", {"\0": "\ud800"})]
    assert read.error == "bad \\x00 byte \\ud800"


def test_numpy_values_become_plain_json(store, begin):
    run = begin()
    run.set_summary({"best": np.float32(0.5), "zeros": np.arange(2), "when": datetime(2026, 1, 2, tzinfo=UTC)})
    assert store.run().summary == {"best": 0.5, "zeros": [0, 1], "when": "2026-01-02T00:00:00+00:00"}


def test_summary_keys_are_merged(store, begin):
    run = begin()
    run.set_summary({"epochs": 1, "metric": "accuracy"})
    run.set_summary({"epochs": 2})
    assert store.run().summary == {"epochs": 2, "metric": "accuracy"}


def test_runs_are_listed_newest_first(store, begin):
    ids = [begin(f"run {number}").id for number in range(3)]
    listed = store.runs()
    assert all(type(run) is RunSummary for run in listed)
    assert [run.id for run in listed] == ids[::-1]
    assert [run.name for run in listed] == ["run 2", "run 1", "run 0"]


def test_runs_are_found_by_id_prefix_and_name(store, begin, monkeypatch):
    times = iter(
        [datetime(2024, 5, 6, 7, 8, 9, tzinfo=UTC), datetime(2025, 1, 1, tzinfo=UTC), datetime(2025, 1, 2, tzinfo=UTC)]
    )

    class Clock(datetime):
        @classmethod
        def now(cls, tz=None):
            return next(times)

    monkeypatch.setattr("weightsmith.store.store.datetime", Clock)
    old, first, second = begin("same"), begin("same"), begin("100%_sure")
    assert store.run("latest").id == second.id
    assert store.run(old.id).id == old.id
    assert store.run("2024").id == old.id
    assert store.run("same").id == first.id
    assert store.run("100%_sure").id == second.id
    with pytest.raises(StoreError, match="several runs begin with '2025'") as caught:
        store.run("2025")
    assert first.id in one_line(caught)
    with pytest.raises(StoreError, match=r"no run 'smae'; did you mean 'same'\?"):
        store.run("smae")
    for nothing in ("", "%", "_", "2024%"):
        with pytest.raises(StoreError, match="holds no run"):
            store.run(nothing)


def test_truncate_cuts_everything_after_a_step(store, begin):
    run = begin()
    for step in range(0, 30, 3):
        steps = np.arange(step, step + 3)
        sketch = SketchRecord("fc.weight", "weight", step, Sketch.of(steps.astype(np.float32)))
        run.write(series={("loss", None): (steps, steps / 2)}, sketches=[sketch], events=[Event(step, "tick", {})])
        run.snapshot(step, {"a": steps})
    run.truncate(13)
    read = store.run()
    assert read.series("loss").steps.tolist() == list(range(14))
    assert read.series("loss").values.tolist() == [step / 2 for step in range(14)]
    assert [event.step for event in read.events()] == [0, 3, 6, 9, 12]
    assert [step for step, _ in read.sketches("fc.weight")] == [0, 3, 6, 9, 12]
    assert [step for step, _ in read.sketches("fc.weight", most=3)] == [0, 6, 12]
    assert [snapshot.step for snapshot in read.snapshots()] == [0, 3, 6, 9, 12]
    assert len(list((run.files / "snapshots").iterdir())) == 5
    run.write(series={("loss", None): ([14], [7.0])})
    assert read.series("loss").steps.tolist() == list(range(15))
    run.truncate(-1)
    assert read.series_names() == []
    assert read.snapshots() == []


points = st.lists(st.tuples(st.integers(0, 20), st.floats()), max_size=4)
actions = st.one_of(
    st.tuples(st.just("write"), st.dictionaries(st.sampled_from([("a", None), ("b", "w"), ("a", "w")]), points)),
    st.tuples(st.just("truncate"), st.integers(-1, 20)),
    st.tuples(st.sampled_from(["finish", "resume"]), st.none()),
)


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(script=st.lists(actions, max_size=12), fan=st.integers(2, 4))
def test_any_sequence_of_writes_reads_like_a_plain_list(store, begin, script, fan):
    run, expected = begin(), {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(writer, "FAN", fan)
        for action, argument in script:
            if action == "write":
                run.write(series={key: ([p[0] for p in some], [p[1] for p in some]) for key, some in argument.items()})
                for key, some in argument.items():
                    expected.setdefault(key, []).extend(some)
            elif action == "truncate":
                run.truncate(argument)
                expected = {key: [p for p in some if p[0] <= argument] for key, some in expected.items()}
            elif action == "finish":
                run.finish("completed")
            else:
                run = store.resume_run(run.id)
    read = store.run(run.id)
    assert set(read.series_names()) == {key for key, some in expected.items() if some}
    for key, some in expected.items():
        series = read.series(*key)
        assert series.steps.tolist() == [step for step, _ in some]
        np.testing.assert_array_equal(series.values, [value for _, value in some])


def test_rows_stay_few_and_one_per_series_at_the_end(store, begin, monkeypatch):
    def rows():
        with store._database.read() as connection:
            return connection.scalar(sqlalchemy.select(sqlalchemy.func.count()).select_from(schema.series))

    monkeypatch.setattr(writer, "FAN", 4)
    run = begin()
    for step in range(70):
        run.write(series={("loss", None): ([step], [step])})
    assert rows() == 1 + 1 + 2  # 64 points, 4 points, 2 single ones
    run.finish("completed")
    assert rows() == 1
    assert store.run().series("loss").steps.tolist() == list(range(70))


def test_resume(store, begin):
    run = begin()
    run.write(series={("loss", None): ([1, 2], [1.0, 2.0])})
    run.finish("failed", "power cut")
    again = store.resume_run(run.id)
    assert again.id == run.id
    resumed = store.run()
    assert (resumed.status, resumed.error, resumed.finished) == ("running", None, None)
    again.write(series={("loss", None): ([3], [3.0])})
    assert store.run().series("loss").steps.tolist() == [1, 2, 3]
    for attempt in (
        run.heartbeat,
        lambda: run.write(events=[Event(1, "a", {})]),
        lambda: run.snapshot(1, {"a": np.ones(1)}),
    ):
        with pytest.raises(StoreError, match="resumed elsewhere"):
            attempt()
    assert store.run().snapshots() == []
    with pytest.raises(StoreError, match="no run 'nothing'"):
        store.resume_run("nothing")


def test_deleted_run(store, begin):
    run, other = begin("gone"), begin("kept")
    for each in (run, other):
        each.write(series={("loss", None): ([1], [1.0])}, events=[Event(1, "a", {})])
        each.snapshot(1, {"a": np.ones(2)})
    read = store.run(run.id)
    source = read.source()
    store.delete_run(run.id)
    assert [summary.id for summary in store.runs()] == [other.id]
    assert not run.files.exists()
    assert source["a"].read().tolist() == [1, 1]  # what is open stays readable
    reads = [lambda: read.series("loss"), read.series_names, read.events, read.snapshots, read.source]
    writes = [run.heartbeat, lambda: run.write(events=[Event(1, "a", {})]), lambda: run.snapshot(2, {"a": np.ones(1)})]
    for attempt in [*reads, lambda: read.sketches("a"), *writes]:
        with pytest.raises(StoreError, match="was deleted") as caught:
            attempt()
        one_line(caught)
    assert not run.files.exists()
    with store._database.read() as connection:
        for table in (schema.series, schema.events, schema.snapshots):
            assert set(connection.scalars(sqlalchemy.select(table.c.run))) == {other.id}
    assert len(store.run().series("loss")) == 1
    with pytest.raises(StoreError, match="holds no run"):
        store.delete_run(run.id)


def alter(store, **values):
    with store._database.write() as connection:
        connection.execute(sqlalchemy.update(schema.runs).values(**values))


def test_a_silent_run_is_lost(store, begin):
    run = begin()
    assert store.runs()[0].status == "running"
    alter(store, updated=datetime.now(UTC) - liveness.STALE - timedelta(seconds=1))
    assert store.runs()[0].status == "lost"
    assert store.run().status == "lost"
    run.heartbeat()
    assert store.runs()[0].status == "running"


def test_a_run_whose_process_is_gone_is_lost(store, begin, start):
    begin()
    process = start("pass")
    process.wait()
    alter(store, process=process.pid)
    assert store.run().status == "lost"
    alter(store, machine="another machine")
    assert store.run().status == "running"
    alter(store, machine="another machine", updated=datetime.now(UTC) - timedelta(hours=1), status="completed")
    assert store.run().status == "completed"


def test_a_run_in_use_elsewhere_is_neither_resumed_nor_deleted(store, begin):
    run = begin()
    alter(store, process=os.getppid())
    for attempt in (store.resume_run, store.delete_run):
        with pytest.raises(StoreError, match=f"process {os.getppid()} on .* is still writing it") as caught:
            attempt(run.id)
        one_line(caught)
    run.heartbeat()


def test_html_escapes_what_users_wrote(store, begin):
    run = begin("<script>")
    run.set_summary({"<b>": "<i>"})
    html = store.run()._repr_html_()
    assert "<script>" not in html
    assert "&lt;b&gt;" in html


def test_a_store_opens_again_with_everything_in_it(store, begin, location):
    begin("kept").write(series={("loss", None): ([1], [1.0])})
    store.close()
    with Store.open(location) as again:
        assert again.run("kept").series("loss").values.tolist() == [1.0]


def test_listing_loads_nothing_heavy(location):
    code = (
        "import sys, weightsmith.store as s; s.Store.open(sys.argv[1]).runs();"
        "heavy = ('numpy', 'torch', 'pandas', 'numba', 'weightsmith.sketch', 'weightsmith.sources');"
        "print([module for module in heavy if module in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code, location], capture_output=True, text=True, check=True)
    # psycopg's own binding to NumPy loads it where it is installed
    assert done.stdout.strip() in ("[]", "['numpy']" if "://" in location else "[]")

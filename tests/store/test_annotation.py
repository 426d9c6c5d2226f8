"""Tags and notes: what may be one, and that setting them disturbs nobody."""

from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy

from weightsmith.errors import InputError, UnknownRunError
from weightsmith.store import Store, schema


def test_a_run_begins_with_tags_and_a_note(store):
    writer = store.create_run(
        name=None, recipe=None, environment={}, weights=[], tags=["b", "a", "b"], note="one\r\ntwo\n\n"
    )
    run = store.run(writer.id)
    assert (run.tags, run.note) == (("b", "a"), "one\ntwo")
    (listed,) = store.runs()
    assert (listed.tags, listed.note) == (run.tags, run.note)


def test_tags_come_and_go_and_a_note_stays_until_it_is_replaced(store, begin):
    run = begin().id
    store.annotate(run, tags="baseline", note="first")
    store.annotate(run, tags=["mnist", "baseline"])
    assert (store.run(run).tags, store.run(run).note) == (("baseline", "mnist"), "first")
    store.annotate(run, untag="baseline", tags=["new"])
    assert store.run(run).tags == ("mnist", "new")
    store.annotate(run, note="")
    assert (store.run(run).tags, store.run(run).note) == (("mnist", "new"), None)


@pytest.mark.parametrize(
    "tag", ["", "two words", "a,b", "tab\t", "no\u00a0break", "x" * 41, "\x1b[31m", "\u202e", "\ud800"]
)
def test_what_is_no_short_word_is_no_tag(store, begin, tag):
    run = begin().id
    with pytest.raises(InputError, match="is no tag") as caught:
        store.annotate(run, tags=[tag])
    assert "\n" not in str(caught.value)
    assert store.run(run).tags == ()


@pytest.mark.parametrize("note", ["x" * 10_001, "bell\a", "\x1b[2J", "turned \u202e around", "\0"])
def test_what_is_no_plain_text_is_no_note(store, begin, note):
    run = begin().id
    with pytest.raises(InputError, match="note") as caught:
        store.annotate(run, tags=["kept-out"], note=note)
    assert "\n" not in str(caught.value)
    assert (store.run(run).tags, store.run(run).note) == ((), None)


def test_a_run_has_no_more_tags_than_can_be_shown(store, begin):
    run = begin().id
    store.annotate(run, tags=[f"t{place}" for place in range(32)])
    store.annotate(run, tags=["t3"])
    with pytest.raises(InputError, match="at most 32"):
        store.annotate(run, tags=["t32"])
    assert len(store.run(run).tags) == 32


def test_a_tag_or_run_that_is_not_there_is_named(store, begin):
    run = begin().id
    store.annotate(run, tags=["baseline"])
    with pytest.raises(InputError, match="'basline'; did you mean 'baseline'"):
        store.annotate(run, untag="basline")
    with pytest.raises(UnknownRunError, match="20200101"):
        store.annotate("20200101-000000-abcd", tags="x")


def test_the_writer_goes_on_and_the_watcher_is_told(store, begin, location):
    writer = begin()
    (before,) = store.signs()
    with Store.open(location) as other:
        other.annotate(writer.id, tags="watched")
    (after,) = store.signs()
    assert after.annotated is not None
    assert after != before
    assert (after.status, after.updated) == ("running", before.updated)
    writer.write(series={("loss", None): ([1], [1.0])})
    writer.set_summary({"verdict": "healthy"})
    writer.finish("completed")
    assert (store.run(writer.id).status, store.run(writer.id).tags) == ("completed", ("watched",))


def test_a_lost_run_stays_lost(store, begin):
    run = begin().id
    silent = datetime.now(UTC) - timedelta(minutes=5)
    with store._database.write() as connection:
        connection.execute(sqlalchemy.update(schema.runs).values(updated=silent))
    store.annotate(run, note="its machine went down")
    assert store.run(run).status == "lost"
    assert [sign.status for sign in store.signs()] == ["lost"]
    store.resume_run(run).finish("completed")
    assert store.run(run).note == "its machine went down"

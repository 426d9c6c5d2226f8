"""Tags and notes from the command line."""

import io
import json

import pytest

from weightsmith.store import Store


@pytest.fixture
def runs(weightsmith, tmp_path):
    """`weightsmith runs` on a store with two finished runs, `one` and `two`."""
    with Store.open(tmp_path / "s") as store:
        for name in ("one", "two"):
            store.create_run(name=name, recipe=None, environment={}, weights=[]).finish("completed")
    return lambda *arguments: weightsmith("runs", "--store", tmp_path / "s", *arguments)


def facts(outcome, *keys):
    run = json.loads(outcome.out)["run"]
    return tuple(run[key] for key in keys)


def test_a_run_is_tagged_listed_and_shown(runs):
    told = runs("one", "--tag", "baseline", "--tag", "mnist", "--note", "the one\nto beat")
    assert told.code == 0
    assert "tagged baseline mnist, a note of 2 lines" in told.out
    listed = json.loads(runs("--json", "--tag", "baseline").out)["runs"]
    assert [(run["name"], run["tags"], run["note"]) for run in listed] == [
        ("one", ["baseline", "mnist"], "the one\nto beat")
    ]
    assert json.loads(runs("--json", "--tag", "baseline", "--tag", "other").out)["runs"] == []
    table = runs().out
    assert "one  #baseline  #mnist  the one\n" in table
    assert "two\n" in table
    assert "note: |-\n  the one\n  to beat\n" in runs("one").out
    assert facts(runs("one", "--json"), "tags", "note") == (["baseline", "mnist"], "the one\nto beat")


def test_tags_and_notes_are_taken_away(runs):
    runs("one", "--tag", "a", "--tag", "b", "--note", "x")
    assert facts(runs("one", "--untag", "a", "--note", "", "--json"), "tags", "note") == (["b"], None)
    outcome = runs("one", "--untag", "a")
    assert (outcome.code, outcome.err.count("\n")) == (2, 1)


def test_a_note_comes_from_standard_input(runs, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO("line 1\nline 2\n"))
    assert facts(runs("one", "--note", "-", "--json"), "note") == ("line 1\nline 2",)


@pytest.mark.parametrize(
    "arguments",
    [
        ("--note", "x"),
        ("--untag", "x"),
        ("one", "--delete", "--yes", "--tag", "x"),
        ("one", "--delete", "--yes", "--note", ""),
        ("one", "--tag", "two words"),
        ("nobody", "--tag", "x"),
    ],
)
def test_what_makes_no_sense_is_one_line_and_changes_nothing(runs, arguments):
    outcome = runs(*arguments)
    assert (outcome.code, outcome.err.count("\n")) == (2, 1)
    assert [(run["tags"], run["note"]) for run in json.loads(runs("--json").out)["runs"]] == [([], None)] * 2


def test_no_run_of_a_tag_is_said(runs):
    assert "is tagged absent" in runs("--tag", "absent").out


def test_a_training_begins_with_tags_and_a_note(weightsmith, tmp_path):
    small = ["--set", "data=iris", "--set", "model=linear", "--set", "budget.epochs=1", "--quiet"]
    done = weightsmith("train", "--store", tmp_path / "t", *small, "--tag", "quick", "--note", "a try")
    assert done.code == 0, done.err
    (run,) = json.loads(weightsmith("runs", "--store", tmp_path / "t", "--json").out)["runs"]
    assert (run["tags"], run["note"]) == (["quick"], "a try")

"""The list of runs by tags and in groups: what is shown, what the address holds, and that the keyboard does it too."""

import csv
import io
import json
import re
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from weightsmith.store import Store

AXE = Path(__file__).parents[2] / "ui" / "node_modules" / "axe-core" / "axe.min.js"

RUNS: list[tuple[str, list[str], str, float, float]] = [
    ("a", ["baseline", "mnist"], "mlp", 0.90, 0.30),
    ("b", ["mnist"], "mlp", 0.96, 0.10),
    ("c", ["mnist", "<i>x</i>"], "cnn", 0.93, 0.25),
    ("d", [], "cnn", 0.50, 0.90),
]
"""Name, tags, model, validation accuracy and loss; each is newer than the one before."""


def write(store: Store, name: str, tags: list[str], model: str, accuracy: float, loss: float) -> str:
    recipe = {"model": model, "optimizer": "adam"}
    note = f"about {name}\n<b>second</b> line" if name == "a" else None
    writer = store.create_run(name=name, recipe=recipe, environment={}, weights=[], tags=tags, note=note)
    writer.write(series={("loss", None): ([1, 2], [1.0, loss])})
    writer.set_summary({"metric": "accuracy", "val_accuracy": accuracy, "val_loss": loss, "steps": 2})
    writer.finish("completed")
    return writer.id


def written(folder: Path) -> dict[str, str]:
    """A new store of these runs: their ids by name."""
    with Store.open(folder) as store:
        return {run[0]: write(store, *run) for run in RUNS}


def opens(address: str, open_tab: Callable[..., Any]) -> Callable[..., Any]:
    def opened(parameters: str = "", **options: Any) -> Any:
        tab = open_tab(address, **options)
        tab.open(f"#/{parameters}")
        tab.settle()
        return tab

    return opened


@pytest.fixture(scope="module")
def runs(lasting_server_of: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A server of the runs."""
    folder = tmp_path_factory.mktemp("groups") / "runs"
    written(folder)
    return lasting_server_of([folder])


@pytest.fixture
def listed(runs: Any, open_tab: Callable[..., Any]) -> Any:
    """Opens the list of the runs."""
    return opens(runs.address, open_tab)


@pytest.fixture
def changing(server_of: Any, open_tab: Callable[..., Any], tmp_path: Path) -> Any:
    """The same, of a store that the test may change; with its folder and the ids by name."""
    folder = tmp_path / "runs"
    ids = written(folder)
    return opens(server_of([folder]).address, open_tab), folder, ids


def lines(page: Any) -> list[str]:
    """The table: names of runs, and of groups with a sharp before them."""
    found: list[str] = page.evaluate(
        "[...document.querySelectorAll('table.runs tbody tr')].map((row) => row.matches('.branch') ? "
        "'#' + row.querySelector('.twist').innerText.replace(/^. /, '') : row.querySelector('a.strong').innerText)"
    )
    return found


def test_tags_filter_by_a_press_and_by_a_word(listed: Any, expect: Any) -> None:
    tab = listed()
    page = tab.page
    assert lines(page) == ["d", "c", "b", "a"]
    chip = page.get_by_role("button", name="mnist", exact=True)
    chip.first.click()
    assert lines(page) == ["c", "b", "a"]
    assert tab.parameters == {"filter": "tag:mnist"}
    page.get_by_role("button", name="baseline", exact=True).click()
    assert tab.parameters == {"filter": "tag:mnist tag:baseline"}
    assert lines(page) == ["a"]
    expect(chip).to_have_attribute("aria-pressed", "true")
    chip.click()
    assert tab.parameters == {"filter": "tag:baseline"}
    page.get_by_label("Filter runs").fill("TAG:MNIST cnn")
    assert lines(page) == ["c"]
    page.get_by_label("Filter runs").fill("tag:mni")  # a part of a tag is none
    expect(page.get_by_text("No run matches the filter.")).to_be_visible()
    page.get_by_label("Filter runs").fill("second line")
    assert lines(page) == ["a"]


def test_a_note_is_in_the_row_on_the_runs_page_and_in_the_csv(listed: Any, expect: Any, saved: Any) -> None:
    page = listed().page
    row = page.get_by_role("row").filter(has=page.get_by_role("link", name="a", exact=True))
    expect(row.locator(".note-line")).to_have_attribute("title", "about a\n<b>second</b> line")
    kept = list(csv.DictReader(io.StringIO(saved(page, "Runs", "CSV").read_text(encoding="utf-8"))))
    assert [(one["name"], one["tags"]) for one in kept] == [(name, " ".join(tags)) for name, tags, *_ in RUNS[::-1]]
    assert kept[-1]["note"] == "about a\n<b>second</b> line"
    row.get_by_role("link", name="a", exact=True).click()
    expect(page.get_by_label("Note")).to_have_text("about a\n<b>second</b> line")
    page.get_by_role("link", name="mnist", exact=True).click()
    expect(page.get_by_label("Filter runs")).to_have_value("tag:mnist")


def test_what_somebody_else_tags_appears_by_itself(changing: Any, expect: Any) -> None:
    listed, folder, ids = changing
    tab = listed()
    row = tab.page.get_by_role("row").filter(has=tab.page.get_by_role("link", name="d", exact=True))
    expect(row.locator(".tag")).to_have_count(0)
    with Store.open(folder) as store:
        store.annotate(ids["d"], tags="late", note="seen")
    expect(row.locator(".tag")).to_have_text("late")
    expect(row.locator(".note-line")).to_have_text("seen")


def test_groups_say_what_came_of_their_runs(listed: Any, expect: Any) -> None:
    tab = listed()
    page = tab.page
    page.get_by_label("Group by").select_option("model")
    assert lines(page) == ["#cnn", "d", "c", "#mlp", "b", "a"]
    assert tab.parameters == {"group": "model"}
    for model in ("mlp", "cnn"):
        accuracies = [run[3] for run in RUNS if run[2] == model]
        losses = [run[4] for run in RUNS if run[2] == model]
        head = page.locator("tr.branch").filter(has_text=model)
        best, middle = (f"{100 * value:g} %" for value in (max(accuracies), statistics.median(accuracies)))
        expect(head).to_contain_text(f"2 runsVal. accuracy {best} best, {middle} median")
        expect(head).to_contain_text(f"Val. loss {min(losses):g} best, {statistics.median(losses):g} median")
    page.get_by_label("Group by").select_option("tag")
    assert lines(page) == ["#mnist", "c", "b", "a", "#<i>x</i>", "c", "#baseline", "a", "#no tag", "d"]


def test_groups_follow_the_order_of_the_table_and_are_sorted_within(listed: Any) -> None:
    tab = listed("?group=tag&sort=-metric")
    assert lines(tab.page) == ["#mnist", "b", "c", "a", "#<i>x</i>", "c", "#baseline", "a", "#no tag", "d"]
    tab.page.get_by_role("button", name="Val. metric").click()
    assert lines(tab.page) == ["#baseline", "a", "#mnist", "a", "c", "b", "#<i>x</i>", "c", "#no tag", "d"]


def test_groups_are_folded_by_the_keyboard_and_stay_so_in_the_address(listed: Any, expect: Any) -> None:
    tab = listed("?group=tag")
    page = tab.page
    twist = page.get_by_role("button", name=re.compile("mnist$")).first
    twist.focus()
    page.keyboard.press("Enter")
    expect(twist).to_have_attribute("aria-expanded", "false")
    page.get_by_role("button", name=re.compile("no tag$")).press(" ")
    folded = ["#mnist", "#<i>x</i>", "c", "#baseline", "a", "#no tag"]
    assert lines(page) == folded
    assert tab.parameters["folded"] == "mnist,%"
    page.reload()
    tab.settle()
    assert lines(page) == folded
    page.get_by_role("button", name="Fold all").click()
    assert all(line.startswith("#") for line in lines(page))
    page.get_by_role("button", name="Open all").click()
    assert len(lines(page)) == 10
    page.get_by_label("Group by").select_option("")
    assert lines(page) == ["d", "c", "b", "a"]


def test_a_group_is_ticked_as_one_up_to_what_can_be_compared(changing: Any, expect: Any) -> None:
    listed, folder, ids = changing
    with Store.open(folder) as store:
        for place in range(7):
            write(store, f"more{place}", ["many"], "mlp", 0.5 + place / 100, 1.0)
    tab = listed("?group=tag&sort=-metric")
    page = tab.page
    expect(page.locator("tr.branch").filter(has_text="many")).to_contain_text("7 runs")
    page.get_by_label("Compare all of baseline").check()
    assert tab.parameters["compare"] == f"s0~{ids['a']}"
    assert page.get_by_label("Compare all of mnist").evaluate("(box) => box.indeterminate")
    page.get_by_label("Compare all of many").check()
    assert len(tab.parameters["compare"].split(",")) == 8
    expect(page.get_by_label("Compare all of no tag")).to_be_disabled()
    page.get_by_label("Compare all of many").uncheck()
    assert tab.parameters["compare"] == f"s0~{ids['a']}"


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_no_barriers(listed: Any, theme: str) -> None:
    if not AXE.is_file():
        pytest.skip("axe-core is not installed (npm ci in ui/)")
    page = listed("?group=tag&filter=tag:mnist&folded=baseline", color_scheme=theme).page
    page.evaluate(AXE.read_text(encoding="utf-8"))
    found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    faults = [(one["id"], [node["html"][:160] for node in one["nodes"]][:3]) for one in found["violations"]]
    assert faults == [], json.dumps(faults, indent=1)

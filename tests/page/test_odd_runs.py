"""Runs as a loop of one's own may leave them, and addresses that mean nothing: the page shows what there is."""

import re
from collections.abc import Callable
from typing import Any

import pytest

from weightsmith.store import Store
from weightsmith.weight import WeightInfo

WEIGHTS = [WeightInfo("a.weight", (4, 3), "float32", "linear", "Linear")]
ODD = {"verdict": {"of": ["mine"]}, "metric": 3, "val_loss": "x", "steps": "many", "recorder": None}


@pytest.fixture(scope="module")
def runs(lasting_server_of: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A server of a store of three runs, and their ids by name."""
    folder = tmp_path_factory.mktemp("odd") / "runs"
    ids = {}
    with Store.open(folder) as store:
        for name, summary in (("odd", ODD), ("  ", {}), ("going", {})):
            writer = store.create_run(name=name, recipe=None, environment={}, weights=WEIGHTS)
            steps = list(range(1, 301))
            writer.write(
                series={key: (steps, [1.0 / i for i in steps]) for key in (("loss", None), ("norm", "a.weight"))}
            )
            writer.set_summary(summary)
            ids[name] = writer.id
            if name != "going":
                writer.finish("completed")
    return lasting_server_of([folder]), ids


@pytest.fixture
def opened(runs: Any, open_tab: Callable[..., Any]) -> Any:
    """Opens a run, or the list where `name` is None."""
    own, ids = runs

    def visit(name: str | None, parameters: str = "") -> Any:
        tab = open_tab(own.address)
        tab.open(f"#/{parameters}" if name is None else f"#/run/s0/{ids[name]}{parameters}")
        tab.settle()
        return tab

    visit.ids = ids
    return visit


def test_a_summary_of_anything_breaks_neither_the_list_nor_the_run(opened: Any, expect: Any) -> None:
    page = opened(None).page
    expect(page.get_by_role("link", name="odd")).to_be_visible()
    page.get_by_role("link", name="odd").click()
    expect(page.get_by_role("region", name="Loss").locator("canvas").first).to_be_visible()
    expect(page.get_by_text("This view failed")).to_have_count(0)


def test_a_name_of_spaces_can_be_pressed(opened: Any, expect: Any) -> None:
    page = opened(None).page
    page.get_by_role("link", name=opened.ids["  "]).click()
    expect(page.get_by_role("heading", level=1)).to_have_text(opened.ids["  "])


@pytest.mark.parametrize("word", ["constructor", "toString", "__proto__", "nonsense"])
def test_words_that_mean_nothing_in_an_address_are_said_or_left_out(opened: Any, expect: Any, word: str) -> None:
    page = opened(None, f"?group={word}&sort={word}").page
    expect(page.get_by_role("link", name="odd")).to_be_visible()
    page = opened("odd", f"?tab={word}").page
    expect(page.get_by_text(f"There is no part of this page called “{word}”.")).to_be_visible()


def test_layers_of_a_run_that_goes_on_reach_its_last_step(opened: Any, expect: Any) -> None:
    tab = opened("going", "?tab=layers&as=lines")
    expect(tab.page.locator(".scrubber output")).to_have_text("300 (last)")
    chart = tab.page.get_by_role("region", name="Weight norm").locator(".uplot .u-over")
    box = chart.bounding_box()
    tab.page.mouse.move(box["x"] + box["width"] - 2, box["y"] + box["height"] / 2)
    expect(tab.page.get_by_role("region", name="Weight norm")).to_contain_text(re.compile("0.003333|0.00333"))

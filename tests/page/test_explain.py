"""The Explain view: what it paints are the server's numbers, and its address holds all that is chosen."""

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from weightsmith.store import Store

pytest.importorskip("captum")

AXE = Path(__file__).parents[2] / "ui" / "node_modules" / "axe-core" / "axe.min.js"
IMAGES = ("model.name=cnn", "model.channels=[6,20]", "model.hidden=8", "budget.epochs=2")


@pytest.fixture(scope="session")
def explained(world: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with a small convolutional network on the digits, one on a table, and a run of somebody's own loop."""
    store = tmp_path_factory.mktemp("explain") / "store"
    own = replace(world, store=store)
    own.train("cnn", *IMAGES)
    own.train("table", "data=wine", "model.hidden=[6]", "budget.epochs=2")
    with Store.open(store) as opened:
        writer = opened.create_run(name="recorded", recipe=None, environment={}, weights=[])
        writer.snapshot(0, {"w": np.ones((2, 2), np.float32)})
        writer.finish("completed")
    return store


@pytest.fixture(scope="module")
def own(explained: Path, lasting_server_of: Any) -> Any:
    """A server of that store."""
    return lasting_server_of([explained])


@pytest.fixture
def shown(own: Any, open_tab: Callable[..., Any]) -> Any:
    """Opens the view of a run, by name."""

    def opened(name: str, parameters: str = "", theme: str = "light") -> Any:
        tab = open_tab(own.address, color_scheme=theme)
        tab.open(f"{own.path_of(name)}?tab=explain{parameters}")
        tab.settle()
        return tab

    return opened


def panel(page: Any, name: str) -> Any:
    return page.get_by_role("region", name=name, exact=True)


def test_a_network_of_dense_layers_is_explained_at_once(tab: Any, server: Any, expect: Any) -> None:
    page = tab.open(f"{server.path_of('first')}?tab=explain")
    tiles = panel(page, "Rows").locator("button.sample")
    expect(tiles).to_have_count(24)
    cards = page.locator(".explained-card")
    expect(cards).to_have_count(6)
    tiles.nth(9).click()
    expect(cards).to_have_count(7)
    tiles.nth(0).focus()
    page.keyboard.press("Enter")
    expect(cards).to_have_count(6)
    assert tab.parameters["rows"] == "1,2,3,4,5,9"
    page.get_by_role("button", name="Integrated gradients").click()
    expect(cards.first).to_contain_text("The parts miss its change by")
    assert tab.parameters["method"] == "integrated-gradients"
    expect(page.get_by_role("button", name="Grad-CAM")).to_have_count(0)
    expect(panel(page, "What each unit likes").locator("canvas")).to_have_count(10)
    expect(panel(page, "Neurons as images").locator("button.filter").first).to_be_visible()


def test_colors_are_the_servers_numbers(tab: Any, server: Any, expect: Any) -> None:
    run = server.run_named("first")
    asked = f"api/stores/s0/runs/{run['id']}/explain/attribution?method=integrated-gradients&rows=7"
    heat = server.get(asked)["rows"][0]["heat"]
    values = np.array(heat["values"]).reshape(heat["height"], heat["width"])
    page = tab.open(f"{server.path_of('first')}?tab=explain&method=integrated-gradients&rows=7")
    expect(page.locator(".explained-card")).to_have_count(1)
    tab.settle()
    for extreme, is_orange in ((values.argmax(), True), (values.argmin(), False)):
        row, column = np.unravel_index(extreme, values.shape)
        red, _, blue = page.evaluate(
            """([row, column]) => {
              const c = document.querySelector(".explained-card canvas");
              const ratio = c.width / c.clientWidth, cell = 14, left = 8 * cell + 8, top = 18;
              const at = [left + (column + 0.5) * cell, top + (row + 0.5) * cell].map((place) => place * ratio);
              return [...c.getContext("2d").getImageData(...at, 1, 1).data];
            }""",
            [int(row), int(column)],
        )[:3]
        assert (red > blue) == is_orange


def test_an_address_holds_all_that_is_chosen(shown: Any, expect: Any) -> None:
    address = "&method=grad-cam&rows=3,5&target=2&layer=convolutions.0&of=convolutions.1&unit=16&wrong=1"
    tab = shown("cnn", address)
    page = tab.page
    cards = page.locator(".explained-card")
    expect(cards).to_have_count(2)
    expect(cards.first).to_contain_text("Explained: 2, whose logit is")
    outputs = panel(page, "What outputs depend on")
    expect(outputs.get_by_label("Layer")).to_have_value("convolutions.0")
    expect(outputs.get_by_role("button", name="Grad-CAM")).to_have_attribute("aria-pressed", "true")
    expect(page.get_by_label("Only wrong ones")).to_be_checked()
    expect(panel(page, "Rows").locator("button.sample").first).to_have_class("sample wrong")
    expect(page.get_by_test_id("units-shown")).to_have_text("units 16 to 19 of 20")
    cards.first.locator(".probabilities button").nth(1).click()
    expect(cards.nth(1).locator(".explained-note")).not_to_contain_text("Explained: 2,")
    assert tab.parameters["target"] != "2"


def test_features_are_bars_with_their_names(shown: Any, saved: Any, expect: Any) -> None:
    page = shown("table", "&rows=0,1&method=integrated-gradients").page
    bars = page.locator(".explained-card").first.get_by_role("img")
    expect(bars).to_have_attribute("aria-label", re.compile(r"alcohol = \d"))
    lines = saved(page, "What outputs depend on", "CSV").read_text(encoding="utf-8").splitlines()
    assert lines[0].endswith("feature,value of the feature,attribution")
    assert len(lines) == 1 + 2 * 13


def test_what_cannot_be_explained_says_why(shown: Any, expect: Any) -> None:
    tab = shown("recorded")
    expect(tab.page.locator(".state.empty")).to_contain_text("was recorded in a loop of its own")
    expect(tab.page.locator(".state.empty")).to_contain_text("use weightsmith.explain in Python")


def test_an_address_of_rows_that_are_not_there_leads_back(shown: Any, expect: Any) -> None:
    tab = shown("cnn", "&rows=99999")
    expect(panel(tab.page, "What outputs depend on").get_by_role("alert")).to_contain_text("there is no row 99999")
    tab.page.get_by_role("button", name="Begin again with the first rows").click()
    expect(tab.page.locator(".explained-card")).to_have_count(6)
    tab.complaints[:] = [one for one in tab.complaints if "status of 400" not in one]


@pytest.mark.parametrize(
    ("name", "theme"), [("cnn", "light"), ("cnn", "dark"), ("table", "dark"), ("recorded", "light")]
)
def test_no_barriers(shown: Any, name: str, theme: str) -> None:
    if not AXE.is_file():
        pytest.skip("axe-core is not installed (npm ci in ui/)")
    page = shown(name, theme=theme).page
    page.evaluate(AXE.read_text(encoding="utf-8"))
    found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    assert [(one["id"], one["nodes"][0]["html"][:200]) for one in found["violations"]] == []

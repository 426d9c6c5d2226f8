"""Filters as tiles: their pixels are the file's values, and a click marks the row everywhere."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

AXE = Path(__file__).parents[2] / "ui" / "node_modules" / "axe-core" / "axe.min.js"


@pytest.fixture(scope="session")
def filters(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A convolution's file and its values: the first filter is positive, the second negative, the third has a NaN."""
    values = np.random.default_rng(2).normal(size=(150, 5, 3, 3)).astype(np.float32)
    values[0] = 3.0
    values[1] = -3.0
    values[2, :, 1, 1] = np.nan
    path = tmp_path_factory.mktemp("filters") / "conv.safetensors"
    save_file({"features.weight": values}, path)
    return path, values


@pytest.fixture(scope="module")
def own(filters: Any, lasting_server_of: Any) -> Any:
    """A server of that file."""
    return lasting_server_of([filters[0].parent / "runs", filters[0]])


@pytest.fixture
def shown(own: Any, open_tab: Callable[..., Any]) -> Any:
    """Opens the page of the convolution."""

    def opened(parameters: str = "", theme: str = "light") -> Any:
        tab = open_tab(own.address, color_scheme=theme)
        tab.open(f"#/source/f0/weight/0{parameters}")
        tab.settle()
        return tab

    return opened


def pixel(page: Any, name: str, x: float, y: float) -> list[int]:
    """Red, green and blue of a tile's picture at a place in pixels of the page."""
    return page.evaluate(
        """([name, x, y]) => {
          const c = document.querySelector(`button.filter[aria-label^="${name}"] canvas`);
          const ratio = c.width / c.clientWidth;
          return [...c.getContext("2d").getImageData(x * ratio, y * ratio, 1, 1).data].slice(0, 3);
        }""",
        [name, x, y],
    )


def test_tiles_show_the_files_values(shown: Any) -> None:
    page = shown("?channel=2").page
    assert page.locator("button.filter").count() == 64
    red, _, blue = pixel(page, "Row 0, channel 2", 36, 36)
    assert red > blue  # orange above zero
    red, _, blue = pixel(page, "Row 1, channel 2", 36, 36)
    assert red < blue
    assert pixel(page, "Row 2, channel 2", 36, 36) == [194, 24, 126]  # the color of what is no number


def test_a_click_marks_the_row_in_all_panels(shown: Any, expect: Any) -> None:
    tab = shown()
    page = tab.page
    tile = page.locator('button.filter[aria-label^="Row 7,"]')
    tile.click()
    expect(tile).to_have_attribute("aria-pressed", "true")
    expect(page.get_by_test_id("marked-rows")).to_contain_text("1 row marked")
    page.locator('button.filter[aria-label^="Row 9,"]').focus()
    page.keyboard.press("Enter")
    assert tab.parameters["rows"] == "7,9"
    tile.click()
    assert tab.parameters["rows"] == "9"


def test_pages_are_in_the_address(shown: Any, expect: Any) -> None:
    tab = shown("?filter=64")
    page = tab.page
    expect(page.get_by_test_id("filters-shown")).to_have_text("rows 64 to 127 of 150")
    pager = page.locator(".pager")
    pager.get_by_role("button", name="Next").click()
    expect(page.get_by_test_id("filters-shown")).to_have_text("rows 128 to 149 of 150")
    expect(pager.get_by_role("button", name="Next")).to_be_disabled()
    assert tab.parameters["filter"] == "128"
    assert page.locator("button.filter").count() == 22


def test_what_is_assumed_is_said_and_can_be_changed(tab: Any, server: Any, expect: Any) -> None:
    run = server.run_named("first")
    source = server.get(f"api/stores/s0/runs/{run['id']}")["snapshots"][-1]["source"]
    page = tab.open(f"#/source/{source}/weight/0")
    panel = page.get_by_role("region", name="Neurons as images")
    expect(panel.locator(".assumed")).to_contain_text("an image of 8 \N{MULTIPLICATION SIGN} 8")
    panel.locator("select").select_option("4x16")
    expect(panel.locator(".assumed")).to_contain_text("an image of 4 \N{MULTIPLICATION SIGN} 16")
    assert tab.parameters["image"] == "4x16"


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_no_barriers(shown: Any, theme: str) -> None:
    if not AXE.is_file():
        pytest.skip("axe-core is not installed (npm ci in ui/)")
    page = shown("?rows=3&filter=64", theme).page
    page.evaluate(AXE.read_text(encoding="utf-8"))
    found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    assert [(one["id"], one["nodes"][0]["html"][:200]) for one in found["violations"]] == []

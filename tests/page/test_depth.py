"""The profile of a model over its depth: points where the file's own statistics say, each a way to its weight."""

import math
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

NAMES = ["block.0.weight", "block.10.weight", "block.2.weight", "head.bias"]
LEFT, RIGHT, TOP, BOTTOM = 64, 18, 14, 104
"""Pixels beside the axes."""


@pytest.fixture(scope="session")
def deep(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A file with weights of known deviations, out of the model's order; one holds NaN."""
    rng = np.random.default_rng(3)
    scales = {"block.0.weight": 0.5, "block.2.weight": 0.1, "block.10.weight": 0.02, "head.bias": 0.3}
    values = {
        name: (rng.normal(size=(40, 30) if "weight" in name else (40,)) * scale).astype(np.float32)
        for name, scale in scales.items()
    }
    values["block.2.weight"][3, 4] = np.nan
    path = tmp_path_factory.mktemp("depth") / "deep.safetensors"
    save_file(values, path)
    return path, values


@pytest.fixture(scope="module")
def own(deep: Any, lasting_server_of: Any) -> Any:
    """A server of that file."""
    return lasting_server_of([deep[0].parent / "runs", deep[0]])


@pytest.fixture
def profile(own: Any, open_tab: Any) -> Any:
    """Opens the profile of that file; gives the tab and its page."""
    tab = open_tab(own.address, color_scheme="light")

    def opened(parameters: str = "") -> Any:
        page = tab.open(f"#/source/f0?as=depth{parameters}")
        page.get_by_text("still to scan").wait_for(state="detached")
        tab.settle()
        return tab, page

    return opened


def readout(page: Any) -> str:
    text: str = page.get_by_test_id("depth-readout").inner_text()
    return text


def test_arrows_walk_in_the_models_order_and_read_the_files_statistics(profile: Any, deep: Any) -> None:
    _, page = profile("&stat=std")
    page.locator("canvas.pointed").focus()
    for name in ["block.0.weight", "block.2.weight", "block.10.weight", "head.bias"]:
        page.keyboard.press("ArrowRight")
        page.wait_for_timeout(60)
        shown, _, value = readout(page).partition(": std ")
        assert shown == name
        finite = deep[1][name][np.isfinite(deep[1][name])].astype(np.float64)
        assert float(value.split(",")[0]) == pytest.approx(finite.std(), rel=6e-3)
        assert ("of its finite values" in value) == (name == "block.2.weight")
    page.keyboard.press("Home")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="block.2.weight").wait_for()


def test_points_lie_where_the_values_are_and_a_click_goes_there(profile: Any, deep: Any, expect: Any) -> None:
    tab, page = profile("&stat=largest&role=linear")
    box = page.locator("canvas.pointed").bounding_box()
    order = ["block.0.weight", "block.2.weight", "block.10.weight"]
    largest = [float(np.nanmax(np.abs(deep[1][name]))) for name in order]
    top = max(largest) + (max(largest) - min(largest)) * 0.06
    place = order.index("block.10.weight")
    x = LEFT + (place + 0.5) / 3 * (box["width"] - LEFT - RIGHT)
    y = box["height"] - BOTTOM - largest[place] / top * (box["height"] - TOP - BOTTOM)
    page.mouse.move(box["x"] + x + 2, box["y"] + y - 2)
    page.wait_for_timeout(100)
    assert readout(page).startswith("block.10.weight: largest size ")
    page.mouse.click(box["x"] + x, box["y"] + y)
    expect(page.get_by_role("heading", name="block.10.weight")).to_be_visible()
    page.go_back()
    expect(page.get_by_label("Statistic")).to_have_value("largest")
    assert tab.parameters["role"] == "linear"


def test_a_log_scale_leaves_out_what_is_not_positive(profile: Any, deep: Any) -> None:
    tab, page = profile("&stat=mean&logd=1")
    positive = sum(float(np.nanmean(values)) > 0 for values in deep[1].values())
    label = page.locator("canvas.pointed").get_attribute("aria-label") if positive else "Mean of 0 weights"
    assert label.startswith(f"Mean of {positive} weight")
    if positive < len(NAMES):
        assert "without a point on this scale" in readout(page)
    page.get_by_label("Statistic").select_option("std")
    page.get_by_label("Log scale").uncheck()
    assert "logd" not in tab.parameters
    assert not math.isnan(page.locator("canvas.pointed").bounding_box()["height"])


def test_hostile_names_are_text(tab: Any) -> None:
    page = tab.open("#/source/f1?as=depth")
    page.get_by_text("still to scan").wait_for(state="detached")
    page.locator("canvas.pointed").focus()
    page.keyboard.press("Home")
    page.wait_for_timeout(60)
    assert "<img" in readout(page) or "long." in readout(page) or "right" in readout(page)
    assert page.locator("main img").count() == 0
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")

"""Two weights of one name side by side with one camera, and as their difference."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

AXE = Path(__file__).parents[2] / "ui" / "node_modules" / "axe-core" / "axe.min.js"
MINUS = "\N{MINUS SIGN}"


def exact(value: np.float32) -> str:
    return np.format_float_positional(value, unique=True, trim="-").replace("-", MINUS)


@pytest.fixture(scope="session")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Two files with a matrix of two levels of one name; half of its values are equal."""
    rng = np.random.default_rng(4)
    first = rng.normal(size=(300, 400)).astype(np.float32)
    second = first + np.where(np.arange(400) < 200, 0, rng.normal(scale=0.1, size=(300, 400))).astype(np.float32)
    folder = tmp_path_factory.mktemp("pair")
    paths = [folder / "new.safetensors", folder / "<b>old.safetensors"]
    for path, values in zip(paths, (first, second), strict=True):
        save_file({"layer.weight": values}, path)
    return paths, first, second


@pytest.fixture(scope="module")
def own(pair: Any, lasting_server_of: Any) -> Any:
    """A server of the two."""
    return lasting_server_of([pair[0][0].parent / "runs", *pair[0]])


@pytest.fixture
def compared(own: Any, open_tab: Callable[..., Any]) -> Any:
    """Opens the page of the first one."""

    def opened(parameters: str = "", theme: str = "light") -> Any:
        tab = open_tab(own.address, color_scheme=theme)
        tab.open(f"#/source/f0/weight/0{parameters}")
        tab.settle()
        tab.wait("[...document.querySelectorAll('canvas.map')].every((one) => one.dataset.complete === 'true')")
        return tab

    return opened


def test_both_show_the_cell_under_the_pointer_and_share_the_camera(compared: Any, pair: Any, expect: Any) -> None:
    _, first, second = pair
    tab = compared("?at=150.5,250.5,64")
    page = tab.page
    page.get_by_label("Compare with").select_option("f1")
    assert tab.parameters["against"] == "f1"
    expect(page.locator("canvas.map")).to_have_count(2)
    other = page.get_by_test_id("readout-other")
    for picture in (0, 1):
        page.wait_for_timeout(200)
        box = page.locator("canvas.map").nth(picture).bounding_box()
        page.mouse.move(box["x"] + (box["width"] - 44) / 2, box["y"] + (box["height"] - 44) / 2)
        tab.readout(f"row 150, column 250: {exact(first[150, 250])}")
        expect(other).to_have_text(f"row 150, column 250: {exact(second[150, 250])}")
    page.mouse.down()
    page.mouse.move(box["x"] + (box["width"] - 44) / 2 - 128, box["y"] + (box["height"] - 44) / 2 - 64, steps=4)
    page.mouse.up()
    page.mouse.move(box["x"] + (box["width"] - 44) / 2 + 1, box["y"] + (box["height"] - 44) / 2 + 1)
    tab.readout(f"row 151, column 252: {exact(first[151, 252])}")
    expect(other).to_have_text(f"row 151, column 252: {exact(second[151, 252])}")
    assert [float(part) for part in tab.parameters["at"].split(",")] == pytest.approx([151.5, 252.5, 64], abs=0.1)


def test_a_click_in_one_marks_the_cell_in_both_without_a_jump(compared: Any, pair: Any, expect: Any) -> None:
    _, first, second = pair
    tab = compared("?against=f1&at=150.5,250.5,30")
    page = tab.page
    box = page.locator("canvas.map").nth(1).bounding_box()
    page.mouse.click(box["x"] + (box["width"] - 44) / 2, box["y"] + (box["height"] - 44) / 2)
    assert tab.parameters["cell"] == "150,250"
    assert tab.parameters["at"].endswith(",30")
    page.mouse.move(5, 5)
    tab.readout(f"row 150, column 250: {exact(first[150, 250])}")
    expect(page.get_by_test_id("readout-other")).to_have_text(f"row 150, column 250: {exact(second[150, 250])}")


def test_the_difference_is_numpys(compared: Any, pair: Any, expect: Any) -> None:
    _, first, second = pair
    tab = compared("?against=f1&cell=20,350")
    page = tab.page
    page.get_by_role("button", name="Difference").click()
    expect(page.locator("canvas.map")).to_have_count(1)
    wide = first.astype(np.float64) - second.astype(np.float64)
    tab.readout(f"row 20, column 350: {exact(np.float32(wide[20, 350]))}")
    share = np.linalg.norm(wide) / np.linalg.norm(second.astype(np.float64)) * 100
    equal = np.count_nonzero(wide == 0) / wide.size * 100
    expect(page.get_by_test_id("difference")).to_contain_text(f"({float(f'{share:.2g}'):g} % of the other's)")
    expect(page.get_by_test_id("difference")).to_contain_text(f"{equal:.1f} %".replace(".0 %", " %"))
    assert tab.parameters["mode"] == "difference"
    page.get_by_label("Compare with").select_option("")
    tab.readout(f"row 20, column 350: {exact(first[20, 350])}")


def test_the_order_is_this_ones_for_both(compared: Any, pair: Any, expect: Any) -> None:
    _, first, second = pair
    tab = compared("?against=f1&rorder=norm&cell=7,300")
    tab.readout(f"row 7, column 300: {exact(first[7, 300])}")
    expect(tab.page.get_by_test_id("readout-other")).to_have_text(f"row 7, column 300: {exact(second[7, 300])}")


def test_names_of_other_files_are_text(compared: Any) -> None:
    page = compared("?against=f1").page
    assert page.locator("main b").filter(has_text="old").count() == 0
    assert "<b>old" in page.locator(".picture-title").nth(1).inner_text()


def test_a_run_is_compared_with_its_beginning(tab: Any, server: Any, expect: Any) -> None:
    run = server.run_named("first")
    source = server.get(f"api/stores/s0/runs/{run['id']}")["snapshots"][-1]["source"]
    page = tab.open(f"#/source/{source}/weight/0")
    page.get_by_label("Compare with").select_option(label="step 0 (initial)")
    expect(page.get_by_test_id("difference")).to_contain_text("of the other's")
    expect(page.locator("canvas.map")).to_have_count(2)
    tab.settle()


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("mode", ["side", "difference"])
def test_no_barriers(compared: Any, mode: str, theme: str) -> None:
    if not AXE.is_file():
        pytest.skip("axe-core is not installed (npm ci in ui/)")
    page = compared(f"?against=f1&mode={mode}", theme).page
    page.evaluate(AXE.read_text(encoding="utf-8"))
    found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    assert [(one["id"], one["nodes"][0]["html"][:200]) for one in found["violations"]] == []

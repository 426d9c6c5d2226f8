"""A file that becomes another while it is shown: the page reads it again by itself and stays where it was."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

MINUS = "\N{MINUS SIGN}"
DEAF = """delete window.SharedWorker;
const add = EventSource.prototype.addEventListener;
EventSource.prototype.addEventListener = function (kind, listener) {
  if (kind !== "source") add.call(this, kind, listener);
};"""


def exact(value: np.float32) -> str:
    return np.format_float_positional(value, unique=True, trim="-").replace("-", MINUS)


def put(path: Path, values: np.ndarray) -> None:
    """Put a file in place of another in one move, as those who are careful write checkpoints."""
    save_file({"layer.weight": values}, path.with_suffix(".new"))
    path.with_suffix(".new").replace(path)


@pytest.fixture
def values() -> list[np.ndarray]:
    """What the file holds before and after, and what the other file holds."""
    rng = np.random.default_rng(6)
    return [(rng.normal(size=(300, 400)) * scale).astype(np.float32) for scale in (1, 5, 1)]


@pytest.fixture
def shown(values: list[np.ndarray], server_of: Any, open_tab: Callable[..., Any], tmp_path: Path) -> Any:
    """Opens a page of the file; `path` is that file, `other` another one."""
    path, other = tmp_path / "model.safetensors", tmp_path / "other.safetensors"
    put(path, values[0])
    put(other, values[2])
    own = server_of([tmp_path / "runs", path, other])

    def opened(place: str, script: str = "") -> Any:
        tab = open_tab(own.address, color_scheme="light")
        if script:
            tab.page.add_init_script(script)
        tab.open(place)
        tab.settle()
        return tab

    return opened, path, other


def test_numbers_and_picture_follow_and_the_place_stays(shown: Any, values: list[np.ndarray], expect: Any) -> None:
    opened, path, _ = shown
    tab = opened("#/source/f0/weight/0?at=150.5,250.5,30&cell=150,250&rows=3-5")
    page = tab.page
    tab.readout(f"row 150, column 250: {exact(values[0][150, 250])}")
    put(path, values[1])
    tab.readout(f"row 150, column 250: {exact(values[1][150, 250])}")
    expect(page.get_by_test_id("replaced")).to_contain_text("The file changed at")
    expect(page.locator(".facts").first).to_contain_text(f"{values[1].std():.2f}"[:3])
    largest = np.unravel_index(np.argmax(np.abs(values[1])), values[1].shape)
    first = page.get_by_role("region", name="Largest values").get_by_role("row").nth(1)
    expect(first).to_contain_text(f"{largest[1]}")
    assert tab.parameters == {"at": "150.5,250.5,30", "cell": "150,250", "rows": "3-5"}


def test_a_weight_is_followed_to_its_new_place(shown: Any, values: list[np.ndarray], expect: Any) -> None:
    opened, path, _ = shown
    tab = opened("#/source/f0/weight/0?cell=7,8")
    save_file({"a.bias": values[2][0], "layer.weight": values[1]}, path.with_suffix(".new"))
    path.with_suffix(".new").replace(path)
    tab.readout(f"row 7, column 8: {exact(values[1][7, 8])}")
    expect(tab.page.get_by_role("heading", name="layer.weight")).to_be_visible()
    assert tab.parameters == {"cell": "7,8"}
    assert "/weight/1" in tab.page.evaluate("location.hash")


def test_the_other_of_a_comparison_follows_too(shown: Any, values: list[np.ndarray], expect: Any) -> None:
    opened, _, other = shown
    tab = opened("#/source/f0/weight/0?against=f1&cell=7,8")
    readout = tab.page.get_by_test_id("readout-other")
    expect(readout).to_have_text(f"row 7, column 8: {exact(values[2][7, 8])}")
    put(other, values[1])
    expect(readout).to_have_text(f"row 7, column 8: {exact(values[1][7, 8])}")
    tab.readout(f"row 7, column 8: {exact(values[0][7, 8])}")


def test_the_table_is_scanned_again(shown: Any, values: list[np.ndarray], expect: Any) -> None:
    opened, path, _ = shown
    page = opened("#/source/f0?as=table").page
    row = page.get_by_role("row").filter(has_text="layer.weight")
    expect(row).to_contain_text(f"{values[0].max():.3g}")
    put(path, values[1][:200])
    expect(row).to_contain_text(re.compile(r"200 . 400"))
    expect(row).to_contain_text(f"{values[1][:200].max():.3g}")


def test_without_word_of_it_the_first_refusal_tells(shown: Any, values: list[np.ndarray]) -> None:
    opened, path, _ = shown
    tab = opened("#/source/f0/weight/0?cell=9,9", DEAF)
    tab.readout(f"row 9, column 9: {exact(values[0][9, 9])}")
    put(path, values[1])
    tab.page.get_by_label("Blocks show").select_option("maximum")
    tab.readout(f"row 9, column 9: {exact(values[1][9, 9])}")
    assert tab.complaints
    assert all("409" in complaint for complaint in tab.complaints)
    tab.complaints.clear()


def test_a_file_that_goes_and_comes_back(shown: Any, values: list[np.ndarray], expect: Any) -> None:
    opened, path, _ = shown
    tab = opened("#/source/f0/weight/0?at=150.5,250.5,30&cell=150,250")
    path.unlink()
    expect(tab.page.get_by_role("heading", name="This weight cannot be shown")).to_be_visible()
    put(path, values[1])
    tab.readout(f"row 150, column 250: {exact(values[1][150, 250])}")
    assert tab.parameters["at"] == "150.5,250.5,30"
    assert all("409" in complaint for complaint in tab.complaints)
    tab.complaints.clear()

"""Numbers at both ends of float64 on the page: written as they are, and in pictures that hold them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

MINUS = "\N{MINUS SIGN}"


def test_the_largest_and_smallest_numbers_are_written_and_drawn(
    server_of: Any, open_tab: Callable[..., Any], tmp_path: Path, expect: Any
) -> None:
    most = np.finfo(np.float64).max
    path = tmp_path / "ends.safetensors"
    save_file(
        {"large": np.array([[most, -most], [1.7e308, 3.0]]), "small": np.array([[1e-310, -1e-310], [0, 0]])}, path
    )
    tab = open_tab(server_of([tmp_path / "runs", path]).address)
    page = tab.open("#/source/f0")
    large = page.get_by_role("row").filter(has_text="large")
    expect(large).to_contain_text(f"{MINUS}1.8e308 to 1.8e308")
    expect(page.locator("svg.spark path")).to_have_count(2)
    assert all("NaN" not in path.get_attribute("d") for path in page.locator("svg.spark path").all())
    page = tab.open("#/source/f0/weight/0")
    expect(page.get_by_role("img", name=f"Histogram from {MINUS}1.8e308 to 1.8e308")).to_be_visible()
    panel = page.get_by_role("region", name="Values", exact=True)
    panel.get_by_role("button", name="Save", exact=True).click()
    with page.expect_download() as download:
        panel.get_by_role("button", name="SVG").click()
    picture = Path(download.value.path()).read_text(encoding="utf-8")
    assert "NaN" not in picture
    assert ">1e308</text>" in picture

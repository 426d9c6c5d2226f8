"""Every view with real data, in both themes, without a complaint of the browser or of axe."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

AXE = Path(__file__).parents[2] / "ui" / "node_modules" / "axe-core" / "axe.min.js"

RUN_TABS = {
    "curves": ["Loss", "Accuracy", "Learning rate"],
    "layers": ["Update to weight ratio", "Gradient flow"],
    "histograms": ["Values of hidden.0.weight over time"],
    "weights": ["Weights", "Findings"],
    "findings": ["Findings"],
    "recipe": ["Recipe", "Environment", "What recording cost"],
}


def place(server: Any, name: str) -> str:
    """The address of each view that is looked at."""
    first, second = server.run_named("first"), server.run_named("second")
    path = server.path_of("first")
    if name in RUN_TABS:
        return f"{path}?tab={name}"
    return {
        "runs": "#/",
        "heat": f"{path}?tab=histograms&view=heat&logc=1",
        "snapshot": f"#/source/s0~{first['id']}~{_last(server, first)}",
        "depth": f"#/source/s0~{first['id']}~{_last(server, first)}?as=depth",
        "table": f"#/source/s0~{first['id']}~{_last(server, first)}?as=table&sort=-std",
        "weight": f"#/source/s0~{first['id']}~{_last(server, first)}/weight/0?rows=3-9&cell=3,4",
        "bias": f"#/source/s0~{first['id']}~{_last(server, first)}/weight/1",
        "file": "#/source/f0",
        "compare": f"#/compare?run=s0~{first['id']}&run=s0~{second['id']}",
        "nowhere": "#/no/such/place",
    }[name]


def _last(server: Any, run: dict[str, Any]) -> int:
    snapshots = server.get(f"api/stores/s0/runs/{run['id']}")["snapshots"]
    return max(snapshot["step"] for snapshot in snapshots)


VIEWS = [*RUN_TABS, "runs", "heat", "snapshot", "table", "depth", "weight", "bias", "file", "compare", "nowhere"]


@pytest.mark.parametrize("name", RUN_TABS)
def test_the_parts_of_a_run(tab: Any, server: Any, expect: Any, name: str) -> None:
    page = tab.open(place(server, name))
    for title in RUN_TABS[name]:
        expect(page.get_by_role("region", name=title, exact=True).first).to_be_visible()
    tab.settle()
    assert page.locator(".failure").count() == 0
    expect(page.locator(".tabs a[aria-current]")).to_contain_text(name.capitalize())


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("name", VIEWS)
def test_no_barriers(open_tab: Callable[..., Any], server: Any, name: str, theme: str) -> None:
    if not AXE.is_file():
        pytest.skip("axe-core is not installed (npm ci in ui/)")
    tab = open_tab(color_scheme=theme)
    page = tab.open(place(server, name))
    page.wait_for_selector("h1, h2")
    tab.settle()
    page.evaluate(AXE.read_text(encoding="utf-8"))
    found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    faults = [(one["id"], [node["html"][:160] for node in one["nodes"]][:3]) for one in found["violations"]]
    assert faults == [], json.dumps(faults, indent=1)


def test_numbers_of_the_table_are_those_of_the_file(tab: Any, server: Any, world: Any, expect: Any) -> None:
    from safetensors.numpy import load_file

    run = server.run_named("first")
    page = tab.open(place(server, "table"))
    weights = load_file(world.snapshot(run["id"]))
    row = page.get_by_role("row").filter(has_text="hidden.0.weight")
    expect(row.get_by_role("cell").nth(6)).to_have_text(re.compile(r"\d"))  # its statistics have come
    expect(row.locator(".pending")).to_have_count(0)
    cells = [text.replace("\N{MINUS SIGN}", "-") for text in row.get_by_role("cell").all_inner_texts()]
    values = weights["hidden.0.weight"].astype("f8")
    for statistic in (values.mean(), values.std(), values.min(), values.max()):
        assert any(_near(cell, statistic) for cell in cells), (statistic, cells)


def _near(text: str, value: float) -> bool:
    try:
        return abs(float(text) - value) <= 6e-3 * abs(value) + 1e-12
    except ValueError:
        return False


def test_an_address_that_leads_nowhere_says_so(tab: Any, expect: Any) -> None:
    page = tab.open("#/no/such/place")
    expect(page.get_by_role("heading", name="There is no such page")).to_be_visible()
    page.get_by_role("link", name="All runs and files").click()
    expect(page.get_by_role("region", name="Runs").first).to_be_visible()


@pytest.mark.parametrize(
    ("path", "heading"),
    [
        ("#/run/s0/20000101-000000-none", "This run is not there"),
        ("#/source/f99", "These weights cannot be shown"),
        ("#/source/f0/weight/99", "This weight cannot be shown"),
    ],
)
def test_what_is_not_there_says_so(tab: Any, expect: Any, path: str, heading: str) -> None:
    page = tab.open(path)
    expect(page.get_by_role("heading", name=heading)).to_be_visible()
    tab.rest(300)
    # The browser itself reports every answer that is not 200; that is the one thing it may say here.
    assert all("404" in complaint for complaint in tab.complaints)
    tab.complaints.clear()


def test_behind_a_path_prefix(server_of: Any, world: Any, open_tab: Any, tmp_path: Path, expect: Any) -> None:
    own = server_of([tmp_path / "runs", world.large], "/behind/a/proxy")
    tab = open_tab(own.address)
    page = tab.open("#/source/f0/weight/0?cell=1,2")
    expect(page.get_by_test_id("readout")).to_contain_text("row 1, column 2: ")
    tab.settle()

"""Views saved as one file: opened from the disk, without a server or network, they do all that they did before."""

import importlib.util
import json
import re
import subprocess
import sys
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

AXE = Path(__file__).parents[2] / "ui" / "node_modules" / "axe-core" / "axe.min.js"
MINUS = "\N{MINUS SIGN}"
PLACE = ("--weight", "layer.weight", "--view", "?cell=5,456", "--budget", 4)
EXPLAINS = importlib.util.find_spec("captum") is not None
TABS = {
    "Curves": "Loss",
    "Layers": "Gradient flow",
    "Histograms": "At step 160",
    "Weights": "Weights",
    "Explain": "What outputs depend on" if EXPLAINS else "Explain",
    "Findings": "Findings",
    "Recipe": "Recipe",
}


def exact(value: np.float32) -> str:
    return np.format_float_positional(value, unique=True, trim="-").replace("-", MINUS)


@pytest.fixture(scope="session")
def save(server: Any, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Saves a view that the server shows, or what `weightsmith export` is asked for; the same only once."""
    folder = tmp_path_factory.mktemp("saved")
    known: dict[tuple[str, ...], Path] = {}

    def write(target: Path, key: tuple[str, ...]) -> None:
        if key[0].startswith("#"):
            urllib.request.urlretrieve(f"{server.address}api/export?view={quote(key[0], safe='')}", target)
            return
        command = [sys.executable, "-m", "weightsmith", "export", *key, "-o", str(target)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr

    def saved(*arguments: object) -> Path:
        key = tuple(map(str, arguments))
        if key not in known:
            target = folder / f"{len(known)} é#?.html"  # a name that an address has to escape
            write(target, key)
            known[key] = target
        return known[key]

    return saved


@pytest.fixture(scope="session")
def wide(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, np.ndarray]:
    """A file with one weight of several levels and few rows, of which t-SNE is soon done; and its values."""
    path = tmp_path_factory.mktemp("wide") / "wide.safetensors"
    values = np.random.default_rng(0).normal(scale=0.02, size=(16, 12_000)).astype(np.float32)
    save_file({"layer.weight": values}, path)
    return path, values


@pytest.fixture
def first(server: Any) -> str:
    """The view of a run."""
    return str(server.path_of("first"))


@pytest.fixture
def both(server: Any) -> str:
    """The view of two runs over each other."""
    return "#/compare?" + "&".join(f"run=s0~{server.run_named(name)['id']}" for name in ("first", "second"))


@pytest.fixture
def opened(open_tab: Callable[..., Any], save: Callable[..., Path]) -> Callable[..., Any]:
    """Opens a saved view in a browser without a network."""

    def view(*arguments: object, place: str = "", **options: Any) -> Any:
        tab = open_tab(save(*arguments).as_uri(), offline=True, **{"color_scheme": "light", **options})
        tab.open(place)
        tab.settle()
        return tab

    return view


def indexed(server: Any, source: str, name: str) -> int:
    """The place of a weight in a run's last weights."""
    weights = server.get(f"api/sources/{source}~160")["weights"]
    return next(one["index"] for one in weights if one["name"] == name)


def use_all_controls(tab: Any) -> None:
    """Choose every option, press every toggle, twice, and see that nothing of it is missing in the file."""
    main = tab.page.locator("main")

    def complete() -> None:
        tab.settle()
        assert main.get_by_text("Not kept").count() == 0
        assert main.locator(".failure").count() == 0
        assert main.get_by_role("progressbar").count() == 0

    complete()
    for i in range(main.locator("select").count()):
        options = main.locator("select").nth(i).locator("option").evaluate_all("all => all.map(one => one.value)")
        was = main.locator("select").nth(i).input_value()
        for option in [*options, was]:
            main.locator("select").nth(i).select_option(option)
            complete()
    for i in range(main.locator(".segments button").count()):
        main.locator(".segments button").nth(i).click()
        complete()
    for i in range(main.locator("input[type=checkbox]").count()):
        for _ in range(2):
            main.locator("input[type=checkbox]").nth(i).click()
            complete()


@pytest.mark.parametrize("tab_name", TABS)
def test_a_run_with_all_its_parts(opened: Callable[..., Any], expect: Any, first: str, tab_name: str) -> None:
    tab = opened(first)
    tab.page.locator(".tabs").get_by_role("link", name=tab_name).click()
    expect(tab.page.get_by_role("region", name=TABS[tab_name], exact=True).first).to_be_visible()
    use_all_controls(tab)
    expect(tab.page.locator("header.top")).to_contain_text("first, saved on")
    assert tab.page.locator(".banner").count() == 0
    assert tab.page.get_by_role("button", name="Save page").count() == 0


def test_a_file_opens_with_the_view_that_was_saved(opened: Callable[..., Any], expect: Any, first: str) -> None:
    tab = opened(f"{first}?tab=layers&step=80")
    expect(tab.page.locator(".tabs a[aria-current]")).to_contain_text("Layers")
    expect(tab.page.locator(".scrubber output")).to_have_text("80")
    tab.page.get_by_role("link", name="Curves").click()
    tab.page.get_by_role("link", name="Weightsmith").click()
    expect(tab.page.locator(".tabs a[aria-current]")).to_contain_text("Layers")


def test_single_values_are_those_of_the_file(opened: Callable[..., Any], wide: Any) -> None:
    path, values = wide
    tab = opened(path, *PLACE)
    tab.readout(f"row 5, column 456: {exact(values[5, 456])}")
    page = tab.page
    for row, column in ((0, 0), (15, 11999), (7, 6789)):
        page.get_by_label("Row", exact=True).fill(str(row))
        page.get_by_label("Column", exact=True).fill(str(column))
        page.get_by_role("button", name="Go", exact=True).click()
        tab.readout(f"row {row}, column {column}: {exact(values[row, column])}")


def test_a_weight_keeps_what_its_controls_ask_for(
    opened: Callable[..., Any], server: Any, world: Any, expect: Any
) -> None:
    run = server.run_named("first")
    source = f"s0~{run['id']}"
    tab = opened(
        f"#/source/{source}~160/weight/{indexed(server, source, 'hidden.0.weight')}?against={source}~0&cell=3,4"
    )
    weights = load_file(world.snapshot(run["id"]))["hidden.0.weight"]
    tab.readout(f"row 3, column 4: {exact(weights[3, 4])}")
    use_all_controls(tab)
    points = tab.page.locator(".points canvas").first
    points.scroll_into_view_if_needed()
    points.focus()
    tab.page.keyboard.press("Shift+ArrowRight")
    expect(tab.page.get_by_test_id("glance").locator("canvas")).to_be_visible()


def test_images_of_all_channels(opened: Callable[..., Any], expect: Any, tmp_path: Path) -> None:
    path = tmp_path / "conv.safetensors"
    save_file({"features.0.weight": np.random.default_rng(5).normal(size=(70, 3, 5, 5)).astype(np.float32)}, path)
    tab = opened(path, "--weight", "features.0.weight")
    use_all_controls(tab)
    filters = tab.page.get_by_role("region", name="Filters")
    filters.get_by_role("combobox", name="Channel").select_option("color")
    filters.get_by_role("button", name="Next").click()
    expect(filters).to_contain_text("69")
    assert filters.get_by_text("Not kept").count() == 0


def test_the_table_of_a_file(opened: Callable[..., Any], server: Any, expect: Any) -> None:
    tab = opened(f"#/source/s0~{server.run_named('first')['id']}~160")
    use_all_controls(tab)
    expect(tab.page.locator(".scanning")).to_have_count(0)
    tab.page.locator(".segments").get_by_role("button", name="Table").click()
    expect(tab.page.get_by_role("row").filter(has_text="hidden.0.weight")).to_contain_text("linear")


def test_runs_over_each_other(opened: Callable[..., Any], expect: Any, both: str) -> None:
    tab = opened(both, color_scheme="dark")
    use_all_controls(tab)
    expect(tab.page.locator("main")).to_contain_text("optimizer.lr")
    expect(tab.page.locator(".u-over").first).to_be_visible()


def test_a_run_a_step_and_a_file_beside_each_other(opened: Callable[..., Any], server: Any, expect: Any) -> None:
    ids = [server.run_named(name)["id"] for name in ("first", "second")]
    tab = opened(f"#/compare?source=f0&run=s0~{ids[1]}&source=s0~{ids[0]}~0")
    expect(tab.page.get_by_role("heading", name="Comparing 1 run and 2 checkpoints")).to_be_visible()
    use_all_controls(tab)
    tab.page.get_by_role("button", name="Swap").click()
    tab.settle()
    expect(tab.page.get_by_test_id("verdict")).to_contain_text("weight")
    assert tab.page.locator("main").get_by_text("Not kept").count() == 0


def test_what_is_not_in_the_file_says_so(opened: Callable[..., Any], expect: Any, both: str) -> None:
    tab = opened(both)
    tab.page.get_by_role("link", name="first").click()
    expect(tab.page.get_by_text("That is not in this file")).to_be_visible()
    expect(tab.page.get_by_role("heading", name="Comparing 2 runs")).to_be_visible()
    tab.page.evaluate("location.hash = '#/run/s0/elsewhere'")
    expect(tab.page.get_by_role("heading", name="This is not in the file")).to_be_visible()
    tab.page.locator("main").get_by_role("link").click()
    expect(tab.page.get_by_role("heading", name="Comparing 2 runs")).to_be_visible()


def test_nothing_is_offered_that_would_lead_out_of_the_file(
    opened: Callable[..., Any], expect: Any, first: str
) -> None:
    tab = opened("#/")
    for grouping in ("", "model"):
        tab.page.get_by_label("Group by").select_option(grouping)
        tab.settle()
        expect(tab.page.locator("main table")).to_contain_text("second")
        assert tab.page.get_by_role("checkbox").count() == 0
        assert tab.page.get_by_role("button", name="Compare").count() == 0
    tab = opened(f"{first}?tab=weights")
    expect(tab.page.get_by_label("Snapshot")).to_be_visible()
    assert tab.page.get_by_text("What changed since").count() == 0


@pytest.mark.parametrize("view", ["#/source/f1", *(f"#/source/f1/weight/{place}" for place in range(4))])
def test_hostile_names_are_text(opened: Callable[..., Any], view: str) -> None:
    page = opened(view).page
    assert page.locator("main img").count() == 0
    assert page.title() != "owned"
    assert page.locator("script").count() == 2
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    if view.endswith("f1"):
        assert "<img src=x onerror=" in page.locator("main").inner_text()


def test_what_had_no_room_is_named(opened: Callable[..., Any], expect: Any, wide: Any) -> None:
    tab = opened(wide[0], "--view", "#/source/f0/weight/0?cell=0,0", "--budget", 1.2)
    expect(tab.page.locator(".saved-note")).to_contain_text("in part")
    tab.page.locator(".saved-note").get_by_role("button").click()
    expect(tab.page.get_by_role("tooltip")).to_contain_text("single values")
    expect(tab.page.get_by_test_id("readout")).to_have_text(re.compile("row 0, column 0: [0-9.]"))
    tab.page.get_by_label("Blocks show").select_option("minimum")
    expect(tab.page.get_by_text("Not kept in this file, which was bounded to 1.2 MB.").first).to_be_visible()


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("what", ["run", "weight", "missing"])
def test_no_barriers(opened: Callable[..., Any], wide: Any, first: str, theme: str, what: str) -> None:
    if not AXE.is_file():
        pytest.skip("axe-core is not installed (npm ci in ui/)")
    arguments = [wide[0], *PLACE] if what == "weight" else [first]
    tab = opened(*arguments, place="#/run/elsewhere" if what == "missing" else "", color_scheme=theme)
    tab.page.evaluate(AXE.read_text(encoding="utf-8"))
    found = tab.page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    faults = [(one["id"], [node["html"][:160] for node in one["nodes"]][:3]) for one in found["violations"]]
    assert faults == [], json.dumps(faults, indent=1)


def test_the_page_saves_the_view_that_it_shows(
    tab: Any, server: Any, open_tab: Callable[..., Any], expect: Any, tmp_path: Path
) -> None:
    page = tab.open(f"{server.path_of('first')}?tab=histograms")
    tab.settle()
    page.get_by_role("button", name="Heat").click()
    with page.expect_download() as download:
        page.get_by_role("button", name="Save page").click()
    assert download.value.suggested_filename == "first.html"
    target = tmp_path / "first.html"
    download.value.save_as(target)
    expect(page.get_by_role("button", name="Save page")).to_be_visible()
    copy = open_tab(target.as_uri(), offline=True)
    copy.open("")
    copy.settle()
    expect(copy.page.locator(".tabs a[aria-current]")).to_contain_text("Histograms")
    expect(copy.page.get_by_role("button", name="Heat")).to_have_attribute("aria-pressed", "true")


def test_a_view_that_cannot_be_saved_says_why(tab: Any, expect: Any) -> None:
    page = tab.open("#/no/such/place")
    page.get_by_role("button", name="Save page").click()
    expect(page.get_by_role("alert")).to_contain_text("the page has no view")
    page.get_by_role("button", name="Close this message").click()
    expect(page.get_by_role("alert")).to_have_count(0)
    tab.complaints.clear()  # Chromium notes every answer of 404

"""Checkpoints and runs against each other: what changed, statistics side by side, distributions over each other."""

import csv
import io
import re
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
def weights() -> list[dict[str, np.ndarray]]:
    """A model, it with one weight pruned and one tuned, and it at twice the size."""
    rng = np.random.default_rng(8)
    base = {name: rng.normal(size=(120, 90)).astype(np.float32) for name in ("a.weight", "b.weight", "<b>c</b>.weight")}
    cut = np.where(np.abs(base["a.weight"]) < 0.7, np.float32(0), base["a.weight"])
    tuned = base["b.weight"] + rng.normal(scale=0.02, size=(120, 90)).astype(np.float32)
    return [base, {**base, "a.weight": cut, "b.weight": tuned}, {name: 2 * one for name, one in base.items()}]


def files_in(folder: Path, weights: list[dict[str, np.ndarray]]) -> list[Path]:
    """The three as files; two of them have the same name."""
    paths = [folder / place for place in ("old/model.safetensors", "new/model.safetensors", "double.safetensors")]
    for path, held in zip(paths, weights, strict=True):
        path.parent.mkdir(exist_ok=True)
        save_file(held, path)
    return paths


def opens(address: str, open_tab: Callable[..., Any]) -> Callable[..., Any]:
    def opened(place: str, theme: str = "light") -> Any:
        tab = open_tab(address, color_scheme=theme)
        tab.open(place)
        tab.settle()
        return tab

    return opened


@pytest.fixture(scope="module")
def models(weights: Any, lasting_server_of: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A server of the three."""
    folder = tmp_path_factory.mktemp("compared")
    return lasting_server_of([folder / "runs", *files_in(folder, weights)])


@pytest.fixture
def compared(models: Any, open_tab: Callable[..., Any]) -> Any:
    """Opens a place of a page with the three as f0, f1 and f2."""
    return opens(models.address, open_tab)


@pytest.fixture
def changing(weights: Any, server_of: Any, open_tab: Callable[..., Any], tmp_path: Path) -> Any:
    """The same, with files that the test may change."""
    paths = files_in(tmp_path, weights)
    return opens(server_of([tmp_path / "runs", *paths]).address, open_tab), paths


def changes(page: Any) -> Any:
    return page.get_by_role("region", name="What changed in the weights")


def test_what_changed_is_numpys_and_leads_to_the_difference(compared: Any, weights: Any, expect: Any) -> None:
    tab = compared("#/compare?source=f0&source=f1")
    page = tab.page
    expect(page.get_by_test_id("verdict")).to_contain_text("of 3 weights")
    rows = changes(page).locator("tbody tr")
    expect(rows).to_have_count(3)
    expect(rows.nth(0)).to_contain_text("a.weight")
    expect(rows.nth(0)).to_contain_text("pruned")
    old, new = (one["a.weight"].astype(np.float64) for one in weights[:2])
    share = 100 * np.linalg.norm(new - old) / np.linalg.norm(old)
    expect(rows.nth(0)).to_contain_text(f"{share:.1f} %")
    expect(rows.nth(1)).to_contain_text("changed")
    expect(rows.nth(2)).to_contain_text("identical")
    expect(rows.nth(2)).to_contain_text("<b>c</b>.weight")
    rows.nth(1).get_by_role("link", name="b.weight").click()
    wide = weights[1]["b.weight"].astype(np.float64) - weights[0]["b.weight"].astype(np.float64)
    page.get_by_label("Row", exact=True).fill("3")
    page.get_by_label("Column", exact=True).fill("4")
    page.get_by_role("button", name="Go", exact=True).click()
    tab.readout(f"row 3, column 4: {exact(np.float32(wide[3, 4]))}")


def test_files_of_one_name_are_told_apart_by_their_folders(compared: Any, expect: Any) -> None:
    page = compared("#/compare?source=f0&source=f1&source=f2").page
    names = page.get_by_role("region", name="Checkpoints").locator("tbody a")
    expect(names).to_have_text(["old/model.safetensors", "new/model.safetensors", "double.safetensors"])


def test_any_two_are_chosen_and_the_address_holds_them(compared: Any, expect: Any) -> None:
    tab = compared("#/compare?source=f0&source=f1&source=f2")
    panel = changes(tab.page)
    panel.get_by_role("combobox", name="to", exact=True).select_option("f2")
    expect(panel.locator("tbody tr").first).to_contain_text("100 %")
    assert (tab.parameters["base"], tab.parameters["with"]) == ("f0", "f2")
    panel.get_by_role("button", name="Swap").click()
    expect(panel.locator("tbody tr").first).to_contain_text("50 %")
    assert (tab.parameters["base"], tab.parameters["with"]) == ("f2", "f0")
    tab.page.reload()
    expect(panel.locator("tbody tr").first).to_contain_text("50 %")
    panel.get_by_role("combobox", name="to", exact=True).select_option("f2")  # the two change places
    expect(panel.locator("tbody tr").first).to_contain_text("100 %")


def test_equal_weights_can_be_left_out(compared: Any, expect: Any) -> None:
    tab = compared("#/compare?source=f0&source=f1")
    panel = changes(tab.page)
    panel.get_by_role("button", name="What differs").click()
    expect(panel.locator("tbody tr")).to_have_count(2)
    panel.get_by_label("Search names and kinds").fill("pruned")
    expect(panel.locator("tbody tr")).to_have_count(1)
    assert (tab.parameters["changes"], tab.parameters["csearch"]) == ("changed", "pruned")


def test_statistics_stand_side_by_side_the_most_different_first(compared: Any, weights: Any, expect: Any) -> None:
    page = compared("#/compare?source=f0&source=f1&source=f2").page
    panel = page.get_by_role("region", name="Statistics side by side")
    panel.get_by_role("button", name="Zeros").click()
    first = panel.locator("tbody tr").first
    zeros = 100 * np.mean(weights[1]["a.weight"] == 0)
    expect(first.get_by_role("cell")).to_have_text(["a.weight", "100 %", "0 %", f"{zeros:.1f} %", "0 %"])
    panel.get_by_role("button", name="Save", exact=True).click()
    with page.expect_download() as download:
        panel.get_by_role("button", name="CSV").click()
    rows = list(csv.DictReader(io.StringIO(Path(download.value.path()).read_text(encoding="utf-8"))))
    found = {row["weight"]: row for row in rows}
    for label, held in zip(
        ("old/model.safetensors", "new/model.safetensors", "double.safetensors"), weights, strict=True
    ):
        for name, values in held.items():
            assert float(found[name][f"norm of {label}"]) == pytest.approx(
                np.linalg.norm(values.astype(float)), rel=1e-6
            )


def test_distributions_lie_over_each_other(compared: Any, weights: Any, expect: Any) -> None:
    tab = compared("#/compare?source=f0&source=f2&weight=a.weight")
    page = tab.page
    panel = page.get_by_role("region", name="Distributions")
    picture = panel.get_by_role("img")
    box = picture.bounding_box()
    picture.hover(position={"x": box["width"] * 0.6, "y": 100})
    expect(panel.get_by_role("status")).to_contain_text("Below")
    text = panel.get_by_role("status").inner_text().replace(MINUS, "-")
    value, *shares = (float(one) for one in re.findall(r"Below ([-\d.e]+)|([\d.]+) % of", text) for one in one if one)
    for share, held in zip(shares, (weights[0], weights[2]), strict=True):
        assert share == pytest.approx(100 * np.mean(held["a.weight"] < value), abs=1.5)
    page.get_by_role("region", name="Statistics side by side").get_by_role("button", name="b.weight").click()
    expect(panel.get_by_label("Weight")).to_have_value("b.weight")
    assert tab.parameters["weight"] == "b.weight"


def test_ticked_files_are_compared(compared: Any, expect: Any) -> None:
    tab = compared("#/")
    page = tab.page
    files = page.get_by_role("region", name="Files")
    boxes = files.get_by_role("checkbox")
    boxes.nth(0).check()
    expect(files.get_by_role("button", name="Compare 1")).to_be_disabled()
    boxes.nth(2).check()
    files.get_by_role("button", name="Compare 2").click()
    expect(page.get_by_role("heading", name="Comparing 2 checkpoints")).to_be_visible()
    expect(changes(page).locator("tbody tr").first).to_contain_text("100 %")


def test_a_comparison_follows_a_file(changing: Any, weights: Any, expect: Any) -> None:
    opened, paths = changing
    page = opened("#/compare?source=f0&source=f1").page
    expect(changes(page).locator("tbody tr").filter(has_text="identical")).to_have_count(1)
    save_file(weights[0], paths[1].with_suffix(".new"))
    paths[1].with_suffix(".new").replace(paths[1])
    expect(page.get_by_test_id("verdict")).to_contain_text("The same weights")


def test_a_damaged_file_says_so_and_the_others_are_compared(changing: Any, expect: Any) -> None:
    opened, paths = changing
    paths[1].write_bytes(b"no longer")
    page = opened("#/compare?source=f0&source=f1&source=f2").page
    row = page.get_by_role("region", name="Checkpoints").locator("tbody tr").nth(1)
    expect(row).to_contain_text("not a safetensors file")
    expect(changes(page).locator("tbody tr").first).to_contain_text("100 %")


def test_what_is_beyond_eight_is_said(tab: Any, expect: Any) -> None:
    page = tab.open("#/compare?" + "&".join(f"source=f{place}" for place in range(9)))
    expect(page.get_by_text("The address names 9; the first 8 are compared.")).to_be_visible()


def test_runs_have_their_weights_compared(tab: Any, server: Any, expect: Any) -> None:
    ids = [f"s0~{server.run_named(name)['id']}" for name in ("first", "second")]
    page = tab.open(f"#/compare?run={ids[0]}&run={ids[1]}&source={ids[0]}~0")
    expect(page.get_by_role("heading", name="Comparing 2 runs and 1 checkpoint")).to_be_visible()
    expect(changes(page).locator("tbody tr").filter(has_text="output.weight")).to_have_count(1)
    changes(page).get_by_role("combobox", name="to", exact=True).select_option(f"{ids[0]}~0")
    expect(changes(page).locator("tbody tr").filter(has_text="changed").first).to_be_visible()
    head = page.get_by_role("region", name="Statistics side by side").locator("thead")
    expect(head).to_contain_text("first, step 0")


def test_a_snapshot_leads_to_what_changed_since_the_first(tab: Any, server: Any, expect: Any) -> None:
    page = tab.open(f"{server.path_of('first')}?tab=weights")
    page.get_by_role("link", name="What changed since step 0").click()
    expect(page.get_by_role("heading", name="Comparing 2 checkpoints")).to_be_visible()
    expect(page.get_by_test_id("verdict")).to_contain_text("weights changed")


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_no_barriers(compared: Any, theme: str) -> None:
    if not AXE.is_file():
        pytest.skip("axe-core is not installed (npm ci in ui/)")
    page = compared("#/compare?source=f0&source=f1&source=f2", theme).page
    page.evaluate(AXE.read_text(encoding="utf-8"))
    found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    assert [(one["id"], one["nodes"][0]["html"][:200]) for one in found["violations"]] == []


def test_values_beyond_float32_are_told(server_of: Any, open_tab: Callable[..., Any], tmp_path: Path) -> None:
    values = np.eye(4) * 1e300
    save_file({"huge": values}, tmp_path / "huge.safetensors")
    tab = open_tab(server_of([tmp_path / "runs", tmp_path / "huge.safetensors"]).address)
    page = tab.open("#/source/f0/weight/0")
    tab.settle()
    assert "lie beyond 3.4e38" in page.get_by_role("note").inner_text()


def test_many_weights_scroll_within_their_table(server_of: Any, open_tab: Callable[..., Any], tmp_path: Path) -> None:
    held = {f"layer.{place:03}.weight": np.full((3, 2), place + 1, np.float32) for place in range(400)}
    paths = [tmp_path / "one.safetensors", tmp_path / "two.safetensors"]
    save_file(held, paths[0])
    save_file({name: values + 1 for name, values in held.items()}, paths[1])
    tab = open_tab(server_of([tmp_path / "runs", *paths]).address)
    page = tab.open("#/compare?source=f0&source=f1")
    tab.settle()
    frame = changes(page).get_by_role("group", name="Changes of weights")
    assert frame.bounding_box()["height"] < 700
    assert changes(page).get_by_text("layer.399.weight").count() == 0
    frame.evaluate("element => element.scrollTo(0, element.scrollHeight)")
    changes(page).get_by_text("layer.399.weight").wait_for()

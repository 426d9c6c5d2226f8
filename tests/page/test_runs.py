"""The list of runs, a run's panels and comparisons: what can be done with them, and that the address holds it."""

import csv
import io
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from weightsmith.store import Store


@pytest.fixture
def expect_names(expect: Any) -> Any:
    """Wait until these runs are listed, in this order."""
    return lambda page, *names: expect(page.locator("main table tbody tr a.strong")).to_have_text(list(names))


def test_newest_first_sorted_and_filtered(tab: Any, expect: Any, expect_names: Any) -> None:
    page = tab.open("#/")
    expect(page.get_by_role("link", name="first")).to_be_visible()
    expect_names(page, "second", "first")
    page.get_by_role("button", name="Run", exact=True).click()
    expect_names(page, "first", "second")
    assert tab.parameters == {"sort": "name"}
    page.get_by_label("Filter runs").fill("sec adam")
    expect_names(page, "second")
    assert tab.parameters == {"sort": "name", "filter": "sec adam"}
    page.reload()
    expect(page.get_by_role("link", name="second")).to_be_visible()
    expect_names(page, "second")
    page.get_by_label("Filter runs").fill("nobody")
    expect(page.get_by_text("No run matches the filter.")).to_be_visible()


def test_ticked_runs_are_compared(tab: Any, expect: Any) -> None:
    page = tab.open("#/")
    compare = page.get_by_role("button", name="Compare")
    expect(compare).to_be_disabled()
    page.get_by_label("Compare first").check()
    page.get_by_label("Compare second").check()
    compare.click()
    differences = page.get_by_role("region", name="Recipe differences")
    expect(differences.get_by_role("row").filter(has_text="optimizer.lr")).to_contain_text("0.01")
    expect(differences.get_by_role("row").filter(has_text="model.hidden")).to_contain_text("24, 16")
    expect(differences.get_by_role("row").filter(has_text="batch_size")).to_have_count(0)
    chart = page.get_by_role("region", name="Validation loss")
    expect(chart.locator(".legend")).to_contain_text("first")
    expect(chart.locator(".legend")).to_contain_text("second")


def test_runs_without_names_go_by_their_ids(server_of: Any, open_tab: Any, tmp_path: Path, expect: Any) -> None:
    own = server_of([tmp_path / "runs"])
    ids = []
    with Store.open(tmp_path / "runs") as store:
        for rate in (0.1, 0.2):
            writer = store.create_run(name=None, recipe={"lr": rate}, environment={}, weights=[])
            writer.write(series={("loss", None): ([1, 2], [1.0, rate])})
            writer.finish("completed")
            ids.append(writer.id)
    tab = open_tab(own.address)
    page = tab.open(f"#/compare?run=s0~{ids[0]}&run=s0~{ids[1]}")
    heads = page.get_by_role("region", name="Recipe differences").get_by_role("columnheader")
    expect(heads).to_have_text(["Field", *(re.compile(rf"^\s*{one}$") for one in ids)])
    expect(page.get_by_role("region", name="Loss").locator(".legend")).not_to_contain_text("~")


def test_zoom_smoothing_and_axes_are_in_the_address(tab: Any, server: Any, expect: Any) -> None:
    page = tab.open(server.path_of("first"))
    tab.settle()
    plot = page.get_by_role("region", name="Loss", exact=True).locator(".u-over")
    box = plot.bounding_box()
    page.mouse.move(box["x"] + box["width"] * 0.25, box["y"] + 50)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.5, box["y"] + 60, steps=5)
    page.mouse.up()
    low, high = (float(part) for part in tab.parameters["zoom"].split(","))
    last = server.run_named("first")["summary"]["steps"]
    assert low == pytest.approx(last * 0.25, abs=last * 0.05)
    assert high == pytest.approx(last * 0.5, abs=last * 0.05)
    page.get_by_role("button", name="Log", exact=True).click()
    page.get_by_label("Smoothing").fill("0.5")
    assert tab.parameters["values"] == "log"
    assert tab.parameters["smooth"] == "0.5"
    page.reload()
    tab.settle()
    expect(page.get_by_role("button", name="Show all steps")).to_be_visible()
    page.get_by_role("region", name="Loss", exact=True).locator(".plot").focus()
    page.keyboard.press("0")
    assert "zoom" not in tab.parameters


def test_cursors_are_linked(tab: Any, server: Any) -> None:
    page = tab.open(server.path_of("first"))
    tab.settle()
    box = page.get_by_role("region", name="Loss", exact=True).locator(".u-over").bounding_box()
    page.mouse.move(box["x"] + box["width"] * 0.5, box["y"] + 80)
    tab.until(lambda: sum(bool(text) for text in page.locator("[data-step]").all_inner_texts()) >= 3)


def test_one_step_for_all_panels(tab: Any, server: Any, expect: Any) -> None:
    path = server.path_of("first")
    run = server.run_named("first")
    page = tab.open(f"{path}?tab=histograms")
    tab.settle()
    slider = page.get_by_role("slider", name="Step")
    slider.focus()
    page.keyboard.press("Home")
    expect(page.get_by_role("region", name="At step 0", exact=True)).to_be_visible()
    assert tab.parameters["step"] == "0"
    found = server.get(f"api/stores/s0/runs/{run['id']}/histograms?weight=hidden.0.weight&bins=96")
    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("region", name=f"At step {found['steps'][1]:,}", exact=True)).to_be_visible()
    page.get_by_role("button", name="Play").click()
    expect(page.get_by_role("region", name=f"At step {found['steps'][-1]:,}", exact=True)).to_be_visible()


def test_curves_as_csv_and_png(tab: Any, server: Any, saved: Any) -> None:
    run = server.run_named("first")
    page = tab.open(server.path_of("first"))
    tab.settle()
    rows = list(csv.DictReader(io.StringIO(saved(page, "Loss", "CSV").read_text(encoding="utf-8"))))
    kept = [(float(row["step"]), float(row["value"])) for row in rows if row["series"] == "val_loss"]
    answer = server.get(f"api/stores/s0/runs/{run['id']}/series?name=val_loss")["series"][0]
    np.testing.assert_array_equal(kept, np.array([answer["steps"], answer["values"]]).T)
    file = saved(page, "Loss", "PNG")
    assert file.name == "first-Loss.png"
    picture = file.read_bytes()
    assert picture.startswith(b"\x89PNG\r\n\x1a\n")
    assert len(picture) > 5000


def test_a_table_as_csv_cannot_run_as_a_formula(tab: Any, saved: Any) -> None:
    page = tab.open("#/source/f1?as=table")
    tab.settle()
    text = saved(page, "Weights", "CSV").read_text(encoding="utf-8")
    rows = list(csv.reader(io.StringIO(text)))
    assert len(rows) == 5
    assert all(not cell.startswith(("=", "+", "@", "\t")) for row in rows for cell in row)

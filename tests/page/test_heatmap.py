"""The picture of a matrix: down to single values that equal the file's, by pointer, keys, links and linked panels."""

import re
from typing import Any

import numpy as np
import pytest

WEIGHT = "#/source/f0/weight/0"
MINUS = "\N{MINUS SIGN}"


def exact(value: np.float32) -> str:
    """The shortest text of a float32, as NumPy writes it, with the page's minus sign."""
    return np.format_float_positional(value, unique=True, trim="-").replace("-", MINUS)


def centre(page: Any) -> tuple[float, float]:
    """The middle of the matrix's picture, without the strips at its edges."""
    box = page.locator("canvas.map").bounding_box()
    return box["x"] + (box["width"] - 44) / 2, box["y"] + (box["height"] - 44) / 2


def level(tab: Any) -> int:
    tab.rest()
    tab.wait("document.querySelector('canvas.map')?.dataset.complete === 'true'")
    return int(tab.page.locator("canvas.map").get_attribute("data-level"))


def test_overview_then_single_values_by_wheel(tab: Any, large: np.ndarray) -> None:
    page = tab.open(WEIGHT)
    tab.settle()
    assert level(tab) > 0
    x, y = centre(page)
    page.mouse.move(x, y)
    tab.readout(re.compile(r"rows \d+\D\d+, columns \d+\D\d+: mean \S+\d"))
    block = page.get_by_test_id("readout").inner_text().replace(MINUS, "-")
    top, bottom, left, right, mean = re.fullmatch(r"rows (\d+)\D(\d+), columns (\d+)\D(\d+): mean (.+)", block).groups()
    values = large[int(top) : int(bottom) + 1, int(left) : int(right) + 1].astype("f8")
    assert values.size > 1
    assert float(mean) == pytest.approx(values.mean(), rel=5e-3)
    for _ in range(16):
        page.mouse.wheel(0, -300)
    assert level(tab) == 0
    page.mouse.move(x + 1, y + 1)
    tab.readout(re.compile(r"row \d+, column \d+: \S*\d"))
    found = re.fullmatch(r"row (\d+), column (\d+): (.+)", page.get_by_test_id("readout").inner_text())
    assert found
    assert found[3] == exact(large[int(found[1]), int(found[2])])


@pytest.mark.parametrize(("row", "column"), [(0, 0), (123, 456), (699, 1099), (255, 256), (256, 255), (511, 512)])
def test_a_link_to_a_cell_shows_its_value(tab: Any, large: np.ndarray, row: int, column: int) -> None:
    tab.open(f"{WEIGHT}?cell={row},{column}")
    tab.readout(f"row {row}, column {column}: {exact(large[row, column])}")


def test_every_value_of_a_trained_layer_in_sight(tab: Any, server: Any, world: Any) -> None:
    from safetensors.numpy import load_file

    run = server.run_named("first")
    values = load_file(world.snapshot(run["id"]))["output.weight"]
    detail = server.get(f"api/stores/s0/runs/{run['id']}")
    source = detail["snapshots"][-1]["source"]
    index = next(w["index"] for w in server.get(f"api/sources/{source}")["weights"] if w["name"] == "output.weight")
    page = tab.open(f"#/source/{source}/weight/{index}")
    tab.settle()
    level(tab)
    box = page.locator("canvas.map").bounding_box()
    rng = np.random.default_rng(0)
    seen = 0
    for _ in range(40):
        page.mouse.move(box["x"] + rng.uniform(0, box["width"] - 46), box["y"] + rng.uniform(0, box["height"] - 46))
        found = re.fullmatch(r"row (\d+), column (\d+): (.+)", page.get_by_test_id("readout").inner_text())
        if found:
            seen += 1
            assert found[3] == exact(values[int(found[1]), int(found[2])])
    assert seen > 10


def test_keys_move_zoom_and_mark(tab: Any, large: np.ndarray, expect: Any) -> None:
    page = tab.open(WEIGHT)
    tab.settle()
    level(tab)
    page.locator("canvas.map").focus()
    for _ in range(14):
        page.keyboard.press("+")
    assert level(tab) == 0
    page.keyboard.press("Enter")
    row, column = map(int, tab.parameters["cell"].split(","))
    tab.readout(f"row {row}, column {column}: {exact(large[row, column])}")
    page.keyboard.press("Shift+ArrowRight")
    tab.readout(f"row {row}, column {column + 1}: {exact(large[row, column + 1])}")
    page.keyboard.press("Shift+ArrowDown")
    tab.readout(f"row {row + 1}, column {column + 1}: {exact(large[row + 1, column + 1])}")
    page.keyboard.press("0")
    assert level(tab) > 0
    assert "at" not in tab.parameters


def test_two_fingers_zoom(open_tab: Any) -> None:
    tab = open_tab(has_touch=True)
    page = tab.open(WEIGHT)
    tab.settle()
    assert level(tab) > 0
    x, y = centre(page)
    fingers = page.context.new_cdp_session(page)

    def touch(kind: str, *distances: float) -> None:
        points = [{"x": x + side * distance, "y": y, "id": side + 1} for distance in distances for side in (-1, 1)]
        fingers.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    for _ in range(3):
        touch("touchStart", 15)
        for distance in range(20, 160, 20):
            touch("touchMove", distance)
        touch("touchEnd")
    assert level(tab) == 0
    assert float(tab.parameters["at"].split(",")[2]) > 20


def test_the_address_holds_where_one_looks(tab: Any, large: np.ndarray) -> None:
    page = tab.open(f"{WEIGHT}?at=300.5,600.5,64")
    tab.settle()
    assert level(tab) == 0
    x, y = centre(page)
    page.mouse.move(x, y)
    tab.readout(f"row 300, column 600: {exact(large[300, 600])}")
    page.mouse.down()
    page.mouse.move(x - 128, y - 64, steps=4)
    page.mouse.up()
    assert [float(part) for part in tab.parameters["at"].split(",")] == pytest.approx([301.5, 602.5, 64], abs=0.1)
    page.set_viewport_size({"width": 1200, "height": 800})
    tab.rest(300)
    page.mouse.move(*centre(page))
    tab.readout(f"row 301, column 602: {exact(large[301, 602])}")


def test_an_outlier_leads_to_its_place(tab: Any, large: np.ndarray, expect: Any) -> None:
    page = tab.open(WEIGHT)
    page.get_by_role("button", name="Go to row 123, column 456:").click()
    tab.readout(f"row 123, column 456: {exact(large[123, 456])}")
    assert level(tab) == 0
    order = np.argsort(-np.abs(large), axis=None)[:50]
    rows = page.get_by_role("region", name="Largest values").get_by_role("row").all_inner_texts()[1:]
    assert [tuple(map(int, text.split()[:2])) for text in rows] == [divmod(int(place), 1100) for place in order]


def test_a_long_vector_is_no_thread(tab: Any, long_vector: np.ndarray) -> None:
    page = tab.open("#/source/f2/weight/1")
    tab.settle()
    overview = level(tab)
    assert overview > 0
    x, y = centre(page)
    for beside in (-40, 0, 40):
        page.mouse.move(x + beside, y)
        tab.readout(re.compile(r"rows \d+\D\d+, columns 0\D0: mean \S*\d"))
    row = int(np.abs(long_vector).argmax())
    page.get_by_role("button", name=f"Go to row {row}, column 0:").click()
    tab.readout(f"row {row}, column 0: {exact(long_vector[row])}")
    assert level(tab) == 0


def test_a_matrix_without_values_says_so(tab: Any, expect: Any) -> None:
    page = tab.open("#/source/f2/weight/2")
    expect(page.get_by_role("region", name="Matrix")).to_contain_text("There are no values in it.")
    tab.settle()


def test_going_to_a_cell_by_its_numbers(tab: Any, large: np.ndarray) -> None:
    page = tab.open(WEIGHT)
    page.get_by_label("Row", exact=True).fill("77")
    page.get_by_label("Column", exact=True).fill("1001")
    page.get_by_role("button", name="Go", exact=True).click()
    tab.readout(f"row 77, column 1001: {exact(large[77, 1001])}")


def green(page: Any, canvas: str) -> int:
    """How many pixels of a picture have the color of marked rows."""
    return page.evaluate(
        """name => {
          const canvas = document.querySelector(`section[aria-label="${name}"] canvas`);
          const data = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
          let found = 0;
          for (let i = 0; i < data.length; i += 4)
            if (data[i] < 8 && Math.abs(data[i + 1] - 121) < 6 && Math.abs(data[i + 2] - 90) < 6) found++;
          return found;
        }""",
        canvas,
    )


def test_brushing_points_marks_rows_and_the_reverse(tab: Any, server: Any, expect: Any) -> None:
    run = server.run_named("first")
    source = server.get(f"api/stores/s0/runs/{run['id']}")["snapshots"][-1]["source"]
    page = tab.open(f"#/source/{source}/weight/0")
    tab.settle()
    assert green(page, "Matrix") == green(page, "Neurons as points") == 0
    points = page.locator('section[aria-label="Neurons as points"] canvas')
    points.scroll_into_view_if_needed()
    box = points.bounding_box()
    page.mouse.move(box["x"] + 2, box["y"] + 2)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] - 2, box["y"] + box["height"] / 2, steps=4)
    page.mouse.up()
    expect(page.get_by_test_id("marked-rows")).to_be_visible()
    embedding = server.get(f"api/sources/{source}/weights/0/embedding?method=pca&dimensions=2")
    heights = np.array(embedding["points"])[:, 1]
    middle = (heights.max() + heights.min()) / 2
    upper = {row for row, height in zip(embedding["rows"], heights, strict=True) if height >= middle}
    assert marked(tab) == upper
    tab.until(lambda: green(page, "Matrix") > 0 and green(page, "Neurons as points") > 0)

    matrix = page.locator("canvas.map")
    matrix.scroll_into_view_if_needed()
    box = matrix.bounding_box()
    page.keyboard.down("Shift")
    page.mouse.move(box["x"] + 40, box["y"] + 60)
    page.mouse.down()
    page.mouse.move(box["x"] + 60, box["y"] + 120, steps=4)
    page.mouse.up()
    page.keyboard.up("Shift")
    rows = marked(tab)
    assert rows == set(range(min(rows), max(rows) + 1)) != upper
    tab.until(lambda: green(page, "Neurons as points") > 0)
    page.get_by_role("button", name="Unmark all rows").click()
    tab.until(lambda: green(page, "Neurons as points") == 0)


def marked(tab: Any) -> set[int]:
    """The rows in the address."""
    ends = [[int(end) for end in part.split("-")] for part in tab.parameters["rows"].split(",")]
    return {row for part in ends for row in range(part[0], part[-1] + 1)}

"""A matrix in another order: rows keep the file's numbers, whatever their place in the picture."""

from typing import Any

import numpy as np

MINUS = "\N{MINUS SIGN}"
WEIGHT = "#/source/f0/weight/0"


def exact(value: np.float32) -> str:
    return np.format_float_positional(value, unique=True, trim="-").replace("-", MINUS)


def test_rows_keep_the_files_numbers(tab: Any, large: np.ndarray) -> None:
    order = np.argsort(-np.sqrt((large.astype(float) ** 2).sum(axis=1)), kind="stable")
    columns = np.argsort(-np.sqrt((large.astype(float) ** 2).sum(axis=0)), kind="stable")
    page = tab.open(f"{WEIGHT}?rorder=norm&corder=norm&at=3.5,2.5,64")
    tab.settle()
    canvas = page.locator("canvas.map")
    tab.wait("document.querySelector('canvas.map')?.dataset.complete === 'true'")
    box = canvas.bounding_box()
    height = (box["height"] - 44) / 2
    # Where the view keeps within the matrix, place (0, 0) is at its corner.
    page.mouse.move(box["x"] + 32, box["y"] + 32)
    row, column = order[0], columns[0]
    tab.readout(f"row {row}, column {column}: {exact(large[row, column])}")
    page.mouse.click(box["x"] + 32, box["y"] + 32 + 64)
    assert height > 64
    assert tab.parameters["cell"] == f"{order[1]},{columns[0]}"


def test_a_cell_of_the_file_is_found_wherever_it_stands(tab: Any, large: np.ndarray) -> None:
    page = tab.open(f"{WEIGHT}?cell=123,456")
    page.get_by_label("Order of rows").select_option("similarity")
    tab.readout(f"row 123, column 456: {exact(large[123, 456])}")
    assert tab.parameters["rorder"] == "similarity"
    page.get_by_label("Row", exact=True).fill("77")
    page.get_by_label("Column", exact=True).fill("1001")
    page.get_by_role("button", name="Go", exact=True).click()
    tab.readout(f"row 77, column 1001: {exact(large[77, 1001])}")
    page.locator("canvas.map").focus()
    page.keyboard.press("Shift+ArrowDown")
    row = int(tab.parameters["cell"].split(",")[0])
    assert row != 77
    tab.readout(f"row {row}, column 1001: {exact(large[row, 1001])}")
    page.get_by_label("Order of rows").select_option("")
    tab.readout(f"row {row}, column 1001: {exact(large[row, 1001])}")
    assert "rorder" not in tab.parameters


def test_brushing_marks_the_rows_that_stand_there(tab: Any, large: np.ndarray) -> None:
    order = np.argsort(-np.sqrt((large.astype(float) ** 2).sum(axis=1)), kind="stable")
    page = tab.open(f"{WEIGHT}?rorder=norm&at=4,4,40")
    tab.settle()
    tab.wait("document.querySelector('canvas.map')?.dataset.complete === 'true'")
    box = page.locator("canvas.map").bounding_box()
    page.keyboard.down("Shift")
    page.mouse.move(box["x"] + 60, box["y"] + 20)
    page.mouse.down()
    page.mouse.move(box["x"] + 90, box["y"] + 20 + 80, steps=4)
    page.mouse.up()
    page.keyboard.up("Shift")
    ends = [[int(end) for end in part.split("-")] for part in tab.parameters["rows"].split(",")]
    assert {row for part in ends for row in range(part[0], part[-1] + 1)} == set(order[:3].tolist())

"""The page that describes the files: its reader, which shares nothing with ours, is the oracle of these tests."""

import re
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "packing.md"


@pytest.fixture(scope="session")
def reader():
    """The function `read` of the page."""
    (code,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    known = {}
    exec(compile(code, PAGE.name, "exec"), known)
    return known["read"]


@pytest.fixture(scope="session")
def table():
    """The table of the page whose first line has a text in it: its heading, then its rows, as lists of cells."""

    def find(heading):
        lines = PAGE.read_text().splitlines()
        start = next(at for at, line in enumerate(lines) if line.startswith("|") and heading in line)
        stop = next(at for at in range(start, len(lines) + 1) if at == len(lines) or not lines[at].startswith("|"))
        rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[start:stop]]
        return [rows[0], *rows[2:]]

    return find

"""The page while things happen: a training that writes, a server that goes and comes back, a run that is deleted."""

import re
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from weightsmith.store import Store


@contextmanager
def running(command: list[str]) -> "Iterator[subprocess.Popen[bytes]]":
    """A process that is gone afterwards."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


@pytest.fixture
def own(server_of: Callable[..., Any], world: Any, tmp_path: Path) -> Any:
    """A server whose store the test may change."""
    return server_of([tmp_path / "runs", world.large])


def test_a_training_appears_moves_and_ends(own: Any, open_tab: Callable[..., Any], training: Any, expect: Any) -> None:
    store = own.what[0]
    tab = open_tab(own.address)
    page = tab.open("#/")
    expect(page.get_by_text("There are no runs yet.")).to_be_visible()
    with running(training(store, "watched", "budget.epochs=100000", "record.snapshots=false")) as process:
        row = page.get_by_role("row").filter(has_text="watched")
        expect(row).to_contain_text("running")
        row.get_by_role("link").click()
        loss = page.locator('section[aria-label="Loss"]').first
        expect(loss).to_be_visible()
        steps = set()

        def moves() -> bool:
            steps.add(loss.locator("[data-line]").first.inner_text())
            return len(steps) >= 4

        tab.until(moves, "the loss moves")
        assert process.poll() is None
        process.terminate()
        process.wait(120)
    expect(page.locator(".heading .status")).not_to_contain_text("running")


def test_from_a_write_to_the_screen_within_a_second(own: Any, open_tab: Callable[..., Any], expect: Any) -> None:
    with Store.open(own.what[0]) as store:
        writer = store.create_run(name="by hand", recipe=None, environment={}, weights=[])
        tab = open_tab(own.address)
        page = tab.open(f"#/run/s0/{writer.id}")
        expect(page.get_by_role("heading", name="by hand")).to_be_visible()
        waited = []
        for i in range(1, 21):
            began = time.monotonic()
            writer.write(series={("loss", None): ([10 * i], [1000.0 + i])})
            expect(page.locator('section[aria-label="Loss"] .panel-note')).to_have_text(f"{1000 + i:,}")
            waited.append(time.monotonic() - began)
            if min(waited) < 1.0:  # a busy machine may be late now and then, and not each time
                break
            page.wait_for_timeout(300)
        assert min(waited) < 1.0, waited
        writer.finish("completed")


def test_a_server_that_goes_and_comes_back(own: Any, world: Any, open_tab: Callable[..., Any], expect: Any) -> None:
    tab = open_tab(own.address)
    page = tab.open("#/source/f0")
    expect(page.get_by_role("link", name="weight", exact=True)).to_be_visible()
    own.stop()
    banner = page.locator(".banner")
    expect(banner).to_contain_text("The server does not answer")
    expect(page.get_by_role("link", name="weight", exact=True)).to_be_visible()  # what was there stays
    own.start()
    expect(banner).to_have_count(0)
    page.get_by_role("link", name="weight", exact=True).click()
    expect(page.get_by_role("region", name="Matrix")).to_be_visible()
    # The browser reports each request that found nobody.
    assert all(re.search("ERR_CONNECTION|Failed to load|ERR_INCOMPLETE|ERR_EMPTY", one) for one in tab.complaints), (
        tab.complaints
    )
    tab.complaints.clear()


def test_a_run_deleted_while_it_is_shown(own: Any, open_tab: Callable[..., Any], training: Any, expect: Any) -> None:
    subprocess.run(training(own.what[0], "short-lived", "budget.epochs=1"), check=True, capture_output=True)
    tab = open_tab(own.address)
    page = tab.open("#/")
    page.get_by_role("link", name="short-lived").click()
    expect(page.get_by_role("region", name="Loss").first).to_be_visible()
    with Store.open(own.what[0]) as store:
        store.delete_run(store.runs()[0].id)
    expect(page.locator(".notice")).to_contain_text("This run has been deleted")
    expect(page.get_by_role("region", name="Loss").first).to_be_visible()
    page.locator(".notice").get_by_role("link", name="All runs").click()
    expect(page.get_by_text("There are no runs yet.")).to_be_visible()
    assert all("404" in one for one in tab.complaints), tab.complaints
    tab.complaints.clear()

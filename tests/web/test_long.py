"""Long answers as events: how far they are, then the very JSON that others get, or the error."""

import json

import pytest

WEIGHT = "/api/sources/f0/weights/1"


def events(answer):
    """The events of an answer, each with its kind and its data."""
    assert answer.headers["content-type"].startswith("text/event-stream")
    parts = [part.split("\n") for part in answer.text.strip().split("\n\n")]
    return [(kind.removeprefix("event: "), json.loads(data.removeprefix("data: "))) for kind, data in parts]


@pytest.mark.parametrize(
    "address",
    [
        f"{WEIGHT}/spectrum",
        f"{WEIGHT}/correlation",
        f"{WEIGHT}/embedding?method=tsne&dimensions=3",
        "/api/sources/f0/findings",
        "/api/compare/weights?source=f0&source=f0",
        "/api/compare/statistics?source=f0&source=f0",
    ],
)
def test_events_end_with_what_others_get(client, address):
    *before, (kind, result) = events(client.get(address, headers={"Accept": "text/event-stream"}))
    assert kind == "result"
    assert {kind for kind, _ in before} <= {"progress"}
    assert all(data["share"] is None or 0 <= data["share"] <= 1 for _, data in before)
    plain = client.get(address)
    assert plain.headers["content-type"] == "application/json"
    assert result == plain.json()
    # Known by now, it comes as JSON even to who takes events, so that browsers keep it.
    again = client.get(address, headers={"Accept": "text/event-stream", "If-None-Match": plain.headers["etag"]})
    assert again.status_code == 304


def test_an_error_is_an_event_with_the_status_that_it_has_elsewhere(client):
    address = "/api/sources/f0/weights/2/spectrum"  # of a vector
    plain = client.get(address)
    kind, data = events(client.get(address, headers={"Accept": "text/event-stream"}))[-1]
    assert kind == "failed"
    assert data == {**plain.json(), "status": plain.status_code}


def test_what_is_not_there_is_said_before_any_event(client):
    answer = client.get("/api/sources/f9/findings", headers={"Accept": "text/event-stream"})
    assert answer.status_code == 404
    assert answer.json()["error"]

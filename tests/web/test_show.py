"""The page inside a notebook: served by this process, in a frame, until it is closed."""

import http.client
import json
import sys
import time
from contextlib import closing

import numpy as np
import pytest

import weightsmith as ws
from weightsmith.errors import InputError, SourceError


def fetch(shown, path):
    port = int(shown.address.rstrip("/").rpartition(":")[2])
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=30)) as connection:
        connection.request("GET", path)
        response = connection.getresponse()
        return response, response.read()


def test_stores_files_and_live_models_are_shown(store, record, weights_file, monkeypatch):
    import torch

    monkeypatch.setattr("weightsmith.web.library.FRESH", 0.01)
    record()
    model = torch.nn.Linear(3, 2)
    shown = ws.show(store, weights_file, model)
    try:
        response, body = fetch(shown, "/api/hello")
        facts = json.loads(body)
        assert [len(facts[kind]) for kind in ("stores", "files")] == [1, 2]
        assert len(json.loads(fetch(shown, "/api/runs")[1])["runs"]) == 1
        for number in (1.0, 2.0):  # as it is when it is looked at
            with torch.no_grad():
                model.weight.fill_(number)
            time.sleep(0.05)
            tile = np.frombuffer(fetch(shown, "/api/sources/f1/weights/0/tiles/0/0/0")[1], "<f4")
            assert tile.tolist() == [number] * 6
        assert "http://localhost:*" in response.headers["content-security-policy"]
        html = shown._repr_html_()
        assert html.startswith(f'<iframe src="{shown.address}"')
        assert shown.address in repr(shown)
    finally:
        shown.close()
    with pytest.raises(OSError, match="refused"):
        fetch(shown, "/api/hello")
    assert len(store.runs()) == 1


@pytest.mark.parametrize(("what", "kind"), [((), InputError), ((3,), InputError), (("no.safetensors",), SourceError)])
def test_what_cannot_be_shown_is_one_line(what, kind):
    with pytest.raises(kind) as caught:
        ws.show(*what)
    assert "\n" not in str(caught.value)


def test_a_frame_has_a_height(weights_file):
    with pytest.raises(InputError, match="pixels"):
        ws.show(weights_file, height=0)


def test_files_are_shown_without_torch(weights_file):
    import subprocess

    code = f"import sys, weightsmith as ws; ws.show({str(weights_file)!r}).close(); print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"

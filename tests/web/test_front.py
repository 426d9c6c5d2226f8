import socket

import pytest

from weightsmith.errors import InputError
from weightsmith.web.front import front
from weightsmith.web.serve import listen


def reached(host, prefix=""):
    with listen(host, None) as opened:
        return front(opened, host, prefix), opened.getsockname()[1]


def test_on_this_machine_no_token_is_asked_for():
    found, port = reached("127.0.0.1")
    assert (found.token, found.prefix, found.any_address) == (None, "", False)
    assert found.address == f"http://127.0.0.1:{port}/"
    assert "localhost" in found.hosts


def test_beyond_this_machine_a_token_is_part_of_the_address():
    found, port = reached("0.0.0.0")
    assert found.any_address
    assert len(found.token) >= 32
    assert found.address == f"http://{socket.gethostname()}:{port}/?token={found.token}"
    assert socket.gethostname().lower() in found.hosts
    assert reached("0.0.0.0")[0].token != found.token


def test_a_name_that_was_passed_is_allowed():
    assert "localhost" in reached("localhost")[0].hosts


@pytest.mark.parametrize(
    ("given", "prefix", "public"),
    [
        *(("/x", "/x", None), ("/x/", "/x", None), ("/a/b-c", "/a/b-c", None), ("/", "", None)),
        *(("https://Hub.example/user/1/", "/user/1", "hub.example"), ("http://h:80/x", "/x", "h")),
    ],
)
def test_a_prefix_is_a_path_or_a_full_address(given, prefix, public):
    found, port = reached("127.0.0.1", given)
    assert found.prefix == prefix
    assert found.address == f"http://127.0.0.1:{port}{prefix}/"
    assert public is None or public in found.hosts


@pytest.mark.parametrize(
    "given", ["x", "//evil/x", "/a/../b", "/ä", "/a?b", "ftp://h/x", "/a//b", "http://[", "/a b", "/<"]
)
def test_other_prefixes_are_one_line(given):
    with pytest.raises(InputError, match="--prefix"):
        reached("127.0.0.1", given)


def test_a_free_port_is_found_next_to_a_taken_one():
    with listen("127.0.0.1", None) as first, listen("127.0.0.1", None, first.getsockname()[1]) as second:
        assert second.getsockname()[1] != first.getsockname()[1]
        with pytest.raises(InputError, match="leave out --port"):
            listen("127.0.0.1", first.getsockname()[1])


@pytest.mark.parametrize("host", ["no.such.host.invalid", "192.0.2.1", "x" * 300])
def test_a_host_that_is_none_of_ours_is_one_line(host):
    with pytest.raises(InputError, match="host"):
        listen(host, None)

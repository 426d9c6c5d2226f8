"""Where tables are written to; what is in them is tested in test_table.py."""

import os
import threading
from pathlib import Path

import pytest

from weightsmith.errors import InputError
from weightsmith.scan.export import write_csv, write_parquet

TABLE = [{"name": "a\ud800", "std": 0.5}]


def writers():
    yield write_csv
    pytest.importorskip("pyarrow")
    yield write_parquet


def test_a_link_stays_and_its_target_is_replaced(tmp_path):
    target = tmp_path / "kept" / "table"
    target.parent.mkdir()
    link = tmp_path / "link"
    link.symlink_to(target)
    for write in writers():
        write(link, TABLE, ("name", "std"))
        assert link.is_symlink()
        assert target.stat().st_size > 0
    assert list(target.parent.iterdir()) == [target]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_a_pipe_takes_the_table_and_stays(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    read = []
    reader = threading.Thread(target=lambda: read.append(pipe.read_bytes()))
    reader.start()
    write_csv(pipe, TABLE, ("name", "std"))
    reader.join()
    assert read == [b"name,std\r\na\\ud800,0.5\r\n"]
    assert pipe.is_fifo()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no full device here")
def test_a_full_disk_is_one_line(tmp_path):
    link = tmp_path / "full"
    link.symlink_to("/dev/full")
    for write in writers():
        with pytest.raises(InputError, match="full: no space left on device") as caught:
            write(link, TABLE, ("name", "std"))
        assert "\n" not in str(caught.value)


def test_a_folder_is_refused_and_nothing_stays(tmp_path):
    for write in writers():
        with pytest.raises(InputError, match="cannot write"):
            write(tmp_path, TABLE, ("name", "std"))
        with pytest.raises(InputError, match="no such file or directory"):
            write(tmp_path / "none" / "t", TABLE, ("name", "std"))
    assert list(tmp_path.iterdir()) == []

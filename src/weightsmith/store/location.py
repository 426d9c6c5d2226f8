"""From what the user calls a store to the database's address and the folder of its files."""

import os
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from weightsmith.errors import StoreError

_SUFFIXES = (".db", ".sqlite", ".sqlite3")
_POSTGRES = ("postgresql+psycopg", "postgresql", "postgres")


@dataclass(frozen=True)
class Location:
    """Where a store is.

    Attributes:
        address: path of the SQLite file, or the PostgreSQL URL that SQLAlchemy takes (with its password).
        files: folder of the runs' own files.
        label: how messages name it; never holds a password.
        is_postgres: which of the two it is.
    """

    address: str
    files: Path
    label: str
    is_postgres: bool

    @property
    def cache(self) -> Path:
        """Folder of what can be computed again, beside the runs' own files."""
        return self.files.with_name("cache") if self.files.name == "files" else self.files / "cache"


def locate(location: str | os.PathLike[str] | None) -> Location:
    """Understand a store's location.

    Args:
        location: a folder, a path ending in .db, .sqlite or .sqlite3, a `postgresql://` URL, or None for the
            environment variable WEIGHTSMITH_STORE, else the user's data folder.

    Raises:
        StoreError: an address of another kind of database, or a file that no store would be.
    """
    given = os.fspath(location) if location is not None else os.environ.get("WEIGHTSMITH_STORE", "")
    if not given:
        return _in_folder(_data_folder())
    scheme, separator, rest = given.partition("://")
    if not separator:
        return _on_disk(_expanded(given))
    if scheme == "sqlite":
        return _on_disk(Path(unquote(rest).removeprefix("/")))
    if scheme in _POSTGRES:
        return _on_server(rest)
    raise StoreError(f"no store can be kept at {scheme}://...: give a folder, a .db file or a postgresql:// URL")


def _on_disk(path: Path) -> Location:
    if path.suffix.lower() in _SUFFIXES and not path.is_dir():
        return Location(str(path.absolute()), path.absolute().with_name(f"{path.stem}.files"), str(path), False)
    if path.exists() and not path.is_dir():
        raise StoreError(f"{str(path)!r} is a file, not a store: give a folder or a path ending in .db")
    return _in_folder(path)


def _in_folder(folder: Path) -> Location:
    folder = folder.absolute()
    return Location(str(folder / "weightsmith.db"), folder / "files", str(folder), False)


def _on_server(rest: str) -> Location:
    from sqlalchemy import URL, make_url
    from sqlalchemy.exc import ArgumentError

    try:
        url = make_url(f"postgresql+psycopg://{rest}")
    except (ArgumentError, ValueError) as error:
        raise StoreError(
            "the store's postgresql:// URL is malformed: postgresql://user:password@host/database"
        ) from error
    label = URL.create("postgresql", url.username, None, url.host, url.port, url.database).render_as_string()
    files = os.environ.get("WEIGHTSMITH_FILES", "") or _data_folder() / "files"
    return Location(url.render_as_string(hide_password=False), _expanded(files).absolute(), label, True)


def _expanded(path: str | Path) -> Path:
    try:
        return Path(path).expanduser()
    except RuntimeError:
        raise StoreError(f"{str(path)!r} names a user who has no home folder") from None


def _data_folder() -> Path:
    from platformdirs import user_data_path

    return user_data_path("weightsmith", appauthor=False)

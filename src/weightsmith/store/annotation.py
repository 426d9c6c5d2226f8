"""What people add to a run afterwards: tags to find it by, and a note."""

from collections.abc import Iterable
from datetime import UTC, datetime

from sqlalchemy import Connection, select, update

from weightsmith.errors import InputError, UnknownRunError
from weightsmith.names import suggestion
from weightsmith.store.schema import runs

MOST_TAGS = 32
TAG_LENGTH = 40
NOTE_LENGTH = 10_000

Tags = str | Iterable[str]
"""One tag, or several."""


def checked_tags(tags: Tags) -> list[str]:
    """The tags, each once, in the order given.

    Raises:
        InputError: a tag that is no short word, or more than a run may have.
    """
    found = list(dict.fromkeys([tags] if isinstance(tags, str) else tags))
    for tag in found:
        if not (isinstance(tag, str) and 0 < len(tag) <= TAG_LENGTH and _is_word(tag)):
            raise InputError(
                f"{str(tag)[:50]!r} is no tag: use 1 to {TAG_LENGTH} printable characters without spaces and commas"
            )
    if len(found) > MOST_TAGS:
        raise InputError(f"{len(found)} tags are too many: a run has at most {MOST_TAGS}")
    return found


def _is_word(tag: str) -> bool:
    return tag.isprintable() and "," not in tag and not any(character.isspace() for character in tag)


def checked_note(note: str | None) -> str | None:
    """The note with plain line ends and nothing but text at its end; None where nothing is left.

    Raises:
        InputError: it is too long, or holds what is no text.
    """
    if note is None:
        return None
    plain = note.replace("\r\n", "\n").replace("\r", "\n").rstrip()
    if len(plain) > NOTE_LENGTH:
        raise InputError(f"a note of {len(plain):,} characters is too long: give at most {NOTE_LENGTH:,}")
    strange = next((character for character in plain if not (character.isprintable() or character in "\n\t")), None)
    if strange is not None:
        raise InputError(f"a note is plain text of several lines: take the character {strange!a} out")
    return plain or None


def annotate(connection: Connection, run: str, tags: Tags, untag: Tags, note: str | None) -> None:
    """Change tags and note of a run; its time of the last write stays, which tells whether its process lives.

    Args:
        connection: a write transaction.
        run: the run's id.
        tags: to add.
        untag: to take away, before others are added.
        note: the new note; an empty one takes it away, None leaves it.

    Raises:
        UnknownRunError: there is no such run.
        InputError: what is no tag or note, or a tag to take away that the run has not.
    """
    known = connection.scalar(select(runs.c.tags).where(runs.c.id == run).with_for_update())
    if known is None:
        raise UnknownRunError(f"there is no run {run!r} to be tagged")
    gone = checked_tags(untag)
    for tag in gone:
        if tag not in known:
            raise InputError(f"run {run} has no tag {tag!r}{suggestion(tag, known)}")
    kept = checked_tags([*(tag for tag in known if tag not in gone), *checked_tags(tags)])
    changes = {"tags": kept} if note is None else {"tags": kept, "note": checked_note(note)}
    connection.execute(update(runs).where(runs.c.id == run).values(annotated=datetime.now(UTC), **changes))

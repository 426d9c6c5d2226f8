"""The skeleton of an HDF5 file: superblock, object headers, groups, links and text attributes, every claim checked.

libhdf5 is C and crashes on damaged files, so strangers' files are parsed here in plain Python: no structure is visited
twice, nothing is allocated on a file's word, and no link is followed out of the file. Checksums are not verified.
Reference: HDF5 File Format Specification 3.0, The HDF Group, 2019.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

from weightsmith.errors import SourceError
from weightsmith.names import printable
from weightsmith.sources.file import File
from weightsmith.sources.hdf5_bytes import Bytes, Cursor
from weightsmith.sources.hdf5_heaps import dense_objects, heap_string, local_heap_data

DATASPACE, LINK_INFO, DATATYPE, OLD_FILL, FILL, LINK, EXTERNAL, LAYOUT = 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08
FILTERS, ATTRIBUTE, CONTINUATION, SYMBOL_TABLE, ATTRIBUTE_INFO = 0x0B, 0x0C, 0x10, 0x11, 0x15

SHARED: Final = 0x02
"""Flag of a message whose body lies in another object."""

_SIGNATURE: Final = b"\x89HDF\r\n\x1a\n"
_NAME_LIMIT: Final = 4096
_MESSAGE_LIMIT: Final = 4096
"""Messages of one object header: real ones have about ten; more attributes than this are kept in a heap."""


@dataclass(frozen=True)
class Message:
    """One message of an object header."""

    kind: int
    flags: int
    data: bytes


@dataclass(frozen=True)
class Link:
    """One entry of a group: `address` is that of the object's header where `kind` is hard."""

    name: str
    kind: Literal["hard", "soft", "external", "other"]
    address: int = 0


def open_bytes(file: File) -> tuple[Bytes, int]:
    """The bytes of an HDF5 file, addressed as the format does, and the address of its root group's header.

    Raises:
        SourceError: there is no HDF5 signature, or the superblock is damaged or of an unknown version.
    """
    start = 0
    while start + 8 <= file.size and bytes(file.view(start, 8)) != _SIGNATURE:
        start = max(512, start * 2)
    if start + 16 > file.size:
        raise SourceError(f"{printable(file.label)}: not an HDF5 file, or truncated: it has no HDF5 signature")
    version = file.view(start + 8, 1)[0]
    sizes = file.view(start + (13 if version < 2 else 9), 2)
    if version > 3 or sizes[0] not in (2, 4, 8) or sizes[1] not in (2, 4, 8):
        raise SourceError(f"{printable(file.label)}: the superblock is damaged or of an unknown version ({version})")
    raw = Bytes(file, start, sizes[0], sizes[1])
    if version < 2:
        cursor = raw.cursor(24 + 4 * (version == 1), 6 * raw.offset_size)
        cursor.take(5 * raw.offset_size)
        return raw, cursor.offset()
    cursor = raw.cursor(12, 4 * raw.offset_size)
    cursor.take(3 * raw.offset_size)
    return raw, cursor.offset()


def messages(raw: Bytes, address: int) -> list[Message]:
    """All messages of the object header at an address, continuations included.

    Raises:
        SourceError: the header or one of its continuations is damaged, shared with another object, or overlong.
    """
    raw.visit(address, "object header")
    found: list[Message] = []
    modern = raw.at(address, 4) == b"OHDR"
    flags, queue = (_modern_header if modern else _old_header)(raw, address)
    while queue:
        start, length = queue.pop(0)
        for message in _block(raw, start, length, flags if modern else None):
            if message.kind == CONTINUATION:
                queue.append(_continuation(raw, message, modern))
            else:
                found.append(message)
            if len(found) + len(queue) > _MESSAGE_LIMIT:
                raise raw.error(f"the object header at byte {address} has over {_MESSAGE_LIMIT} messages")
    return found


def _old_header(raw: Bytes, address: int) -> tuple[int, list[tuple[int, int]]]:
    version, _, _, _, length = struct.unpack("<BBHII", raw.at(address, 12))
    if version != 1:
        raise raw.error(f"there is no object header at byte {address}")
    return 0, [(address + 16, length)]


def _modern_header(raw: Bytes, address: int) -> tuple[int, list[tuple[int, int]]]:
    version, flags = raw.at(address + 4, 2)
    if version != 2:
        raise raw.error(f"the object header at byte {address} is of the unknown version {version}")
    start = address + 6 + (16 if flags & 0x20 else 0) + (4 if flags & 0x10 else 0)
    width = 1 << (flags & 3)
    return flags, [(start + width, int.from_bytes(raw.at(start, width), "little"))]


def _continuation(raw: Bytes, message: Message, modern: bool) -> tuple[int, int]:
    cursor = raw.over(message.data)
    start, length = cursor.offset(), cursor.length()
    raw.visit(start, "continuation of an object header")
    if not modern:
        return start, length
    if length < 8 or raw.at(start, 4) != b"OCHK":
        raise raw.error(f"there is no continuation of an object header at byte {start}")
    return start + 4, length - 8


def _block(raw: Bytes, start: int, length: int, flags: int | None) -> Iterator[Message]:
    """Messages of one block; `flags` are those of a modern header, None for an old one."""
    cursor = raw.cursor(start, length)
    smallest = 8 if flags is None else 6 if flags & 4 else 4
    while cursor.left >= smallest:
        if flags is None:
            kind, size, own = cursor.number(2), cursor.number(2), cursor.number(1)
            cursor.take(3)
        else:
            kind, size, own = cursor.number(1), cursor.number(2), cursor.number(1)
            cursor.take(2 if flags & 4 else 0)
        yield Message(kind, own, cursor.take(size))


def links(raw: Bytes, header: list[Message]) -> Iterator[Link]:
    """Entries of the group with this object header; none where it is a dataset.

    Raises:
        SourceError: the group's tables are damaged or shared with another group.
    """
    for message in header:
        cursor = raw.over(message.data)
        if message.kind == LINK:
            yield _link(cursor)
        elif message.kind == SYMBOL_TABLE:
            tree, heap = cursor.offset(), cursor.offset()
            names = local_heap_data(raw, heap)
            for node in _leaves(raw, tree):
                yield from _symbols(raw, node, names)
        elif message.kind == LINK_INFO:
            cursor.take(1)
            if cursor.number(1) & 1:
                cursor.take(8)
            for data in dense_objects(raw, cursor.offset(), cursor.offset(), id_at=4):
                yield _link(raw.over(data))


def _link(cursor: Cursor) -> Link:
    version, flags = cursor.number(1), cursor.number(1)
    if version != 1:
        raise cursor.error(f"a link is of the unknown version {version}")
    kind = cursor.number(1) if flags & 0x08 else 0
    cursor.take((8 if flags & 0x04 else 0) + (1 if flags & 0x10 else 0))
    name = _text(cursor, cursor.take(cursor.number(1 << (flags & 3))))
    if kind == 0:
        return Link(name, "hard", cursor.offset())
    return Link(name, "soft" if kind == 1 else "external" if kind == 64 else "other")


def _text(cursor: Cursor, data: bytes) -> str:
    if not 0 < len(data) <= _NAME_LIMIT or b"/" in data:
        raise cursor.error(f"a name is empty, has a slash or is over {_NAME_LIMIT} bytes long")
    return data.decode("utf-8", "surrogateescape")


def _leaves(raw: Bytes, root: int) -> Iterator[int]:
    """Addresses of the symbol table nodes below a version 1 B-tree, in order."""
    stack = [(root, 64)]
    while stack:
        address, above = stack.pop()
        raw.visit(address, "node of a group's B-tree")
        magic, kind, level, count = struct.unpack("<4sBBH", raw.at(address, 8))
        if magic != b"TREE" or kind != 0 or level >= above:
            raise raw.error(f"there is no node of a group's B-tree at byte {address}")
        cursor = raw.cursor(address + 8, 2 * raw.offset_size + count * (raw.length_size + raw.offset_size))
        cursor.take(2 * raw.offset_size)
        children = []
        for _ in range(count):
            cursor.take(raw.length_size)
            children.append(cursor.offset())
        if level:
            stack.extend((child, level) for child in reversed(children))
        else:
            yield from children


def _symbols(raw: Bytes, address: int, names: bytes) -> Iterator[Link]:
    raw.visit(address, "symbol table")
    magic, _, _, count = struct.unpack("<4sBBH", raw.at(address, 8))
    if magic != b"SNOD":
        raise raw.error(f"there is no symbol table at byte {address}")
    cursor = raw.cursor(address + 8, count * (2 * raw.offset_size + 24))
    for _ in range(count):
        start, header, cached = cursor.offset(), cursor.offset(), cursor.number(4)
        cursor.take(20)
        end = names.find(b"\0", start, start + _NAME_LIMIT + 1)
        if end < 0:
            raise raw.error("a name lies outside its group's heap or has no end")
        name = _text(cursor, names[start:end])
        yield Link(name, "soft") if cached == 2 else Link(name, "hard", header)


def attributes(raw: Bytes, header: list[Message]) -> dict[str, str | None]:
    """Attributes of an object by name: their text where they are one text, else None.

    Raises:
        SourceError: an attribute is damaged.
    """
    found: dict[str, str | None] = {}
    for message in header:
        if message.kind == ATTRIBUTE and not message.flags & SHARED:
            name, value = _attribute(raw, message.data)
            found[name] = value
        elif message.kind == ATTRIBUTE_INFO:
            cursor = raw.over(message.data)
            cursor.take(1)
            if cursor.number(1) & 1:
                cursor.take(2)
            for data in dense_objects(raw, cursor.offset(), cursor.offset(), id_at=0):
                name, value = _attribute(raw, data)
                found[name] = value
    return found


def _attribute(raw: Bytes, data: bytes) -> tuple[str, str | None]:
    cursor = raw.over(data)
    version, flags = cursor.number(1), cursor.number(1)
    if not 1 <= version <= 3:
        raise raw.error(f"an attribute is of the unknown version {version}")
    sizes = [cursor.number(2) for _ in range(3)]
    cursor.take(1 if version == 3 else 0)
    name, kind, space = (cursor.take(size + (-size % 8 if version == 1 else 0))[:size] for size in sizes)
    shown = name.rstrip(b"\0").decode("utf-8", "replace")
    if (version > 1 and flags & 3) or len(kind) < 8 or len(space) < 2 or space[1]:  # shared parts, or an array
        return shown, None
    return shown, _string(raw, kind, cursor)


def _string(raw: Bytes, kind: bytes, cursor: Cursor) -> str | None:
    """The text of a scalar attribute; None where it is no text."""
    code, first, size = kind[0] & 15, kind[1], int.from_bytes(kind[4:8], "little")
    if code == 3:
        return cursor.take(size).split(b"\0")[0].decode("utf-8", "replace")
    if code != 9 or first & 15 != 1:
        return None
    length = cursor.number(4)
    value = heap_string(raw, cursor.offset(), cursor.number(4)) if length else b""
    return value[:length].decode("utf-8", "replace")

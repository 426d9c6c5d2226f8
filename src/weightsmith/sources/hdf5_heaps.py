"""Where HDF5 keeps things of varying length: local, global and fractal heaps, and the B-tree that indexes the last.

Reference: HDF5 File Format Specification 3.0, The HDF Group, 2019, sections III.A.2, III.D, III.E and III.G.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from weightsmith.sources.hdf5_bytes import Bytes, Cursor

_RECORDS = 1 << 20
"""Most entries of one group or attribute table."""


def local_heap_data(raw: Bytes, address: int) -> bytes:
    """The data segment of the local heap at an address: the names of one group, each closed by a NUL.

    Raises:
        SourceError: there is no such heap, or it is shared with another group.
    """
    raw.visit(address, "heap of a group")
    cursor = raw.cursor(address, 8 + 2 * raw.length_size + raw.offset_size)
    if cursor.take(4) != b"HEAP":
        raise raw.error(f"there is no heap of a group at byte {address}")
    cursor.take(4)
    size = cursor.length()
    cursor.length()
    start = cursor.offset()
    raw.visit(start, "data of a group's heap")
    return raw.at(start, size)


def heap_string(raw: Bytes, address: int, wanted: int) -> bytes:
    """The object of an index in the global heap collection at an address.

    Raises:
        SourceError: there is no such collection or object.
    """
    cursor = raw.cursor(address, 8 + raw.length_size)
    if cursor.take(4) != b"GCOL":
        raise raw.error(f"there is no global heap at byte {address}")
    cursor.take(4)
    total = cursor.length()
    used = 8 + raw.length_size
    head = 8 + raw.length_size
    while used + head <= total:
        cursor = raw.cursor(address + used, head)
        index = cursor.number(2)
        cursor.take(6)
        size = cursor.length()
        if index == wanted and index:
            return raw.at(address + used + head, size)
        if not index:
            break
        used += head + size + -size % 8
    raise raw.error(f"the global heap at byte {address} has no object {wanted}")


def dense_objects(raw: Bytes, heap: int, tree: int, id_at: int) -> Iterator[bytes]:
    """What a fractal heap holds, in the order of a version 2 B-tree over it; nothing where the address is undefined.

    Args:
        raw: the file.
        heap: address of the heap's header.
        tree: address of the B-tree's header.
        id_at: where in each record of the tree the heap's id starts.

    Raises:
        SourceError: either is damaged or shared.
    """
    if heap == raw.undefined or tree == raw.undefined:
        return
    store = _FractalHeap.at(raw, heap)
    budget = raw.file.size
    for record in _records(raw, tree):
        data = store.get(raw, raw.over(record[id_at : id_at + store.id_length]))
        budget -= len(data)
        if budget < 0:  # objects that overlap would cost more than the file holds
            raise raw.error(f"the objects of the heap at byte {heap} overlap")
        yield data


@dataclass(frozen=True)
class _FractalHeap:
    """Header of a fractal heap: a doubling table of blocks, addressed by one offset over all of them."""

    id_length: int
    width: int
    start: int
    largest: int
    bits: int
    root: int
    rows: int
    length_bytes: int

    @classmethod
    def at(cls, raw: Bytes, address: int) -> "_FractalHeap":
        raw.visit(address, "fractal heap")
        cursor = raw.cursor(address, 22 + 12 * raw.length_size + 3 * raw.offset_size)
        if cursor.take(5) != b"FRHP\0":
            raise raw.error(f"there is no fractal heap at byte {address}")
        id_length, filters = cursor.number(2), cursor.number(2)
        cursor.take(1)
        largest_object = cursor.number(4)
        cursor.take(10 * raw.length_size + 2 * raw.offset_size)
        width, start, largest = cursor.number(2), cursor.length(), cursor.length()
        bits = cursor.number(2)
        cursor.take(2)
        root, rows = cursor.offset(), cursor.number(2)
        powers = all(size and not size & (size - 1) for size in (width, start, largest))
        if filters or not powers or largest < start or bits > 64 or rows > 64:
            raise raw.error(f"the fractal heap at byte {address} is compressed or damaged")
        length_bytes = min((largest.bit_length() + 6) // 8, (largest_object.bit_length() + 7) // 8)
        return cls(id_length, width, start, largest, bits, root, rows, length_bytes)

    def get(self, raw: Bytes, cursor: Cursor) -> bytes:
        """The object of an id."""
        first = cursor.number(1)
        kind = first >> 4 & 3
        if kind == 2 and self.id_length <= 18:
            return cursor.take((first & 15) + 1)
        if kind:
            raise raw.error("an object of a fractal heap is stored apart")
        offset, length = cursor.number((self.bits + 7) // 8), cursor.number(self.length_bytes)
        if length > self.largest:
            raise raw.error("an object of a fractal heap is larger than its block")
        return raw.at(self._address(raw, offset), length)

    def _address(self, raw: Bytes, offset: int) -> int:
        """Where a heap offset lies in the file."""
        block, rows = self.root, self.rows
        direct = (self.largest // self.start).bit_length() + 1  # rows of blocks that hold objects themselves
        while rows:
            row = (offset // (self.width * self.start)).bit_length()
            size = self.start << max(0, row - 1)
            if row >= rows:
                break
            offset -= self.width * size if row else 0
            entry = row * self.width + offset // size
            offset %= size
            if raw.at(block, 4) != b"FHIB":
                raise raw.error(f"there is no block of a fractal heap at byte {block}")
            head = 5 + raw.offset_size + (self.bits + 7) // 8
            block = raw.cursor(block + head + entry * raw.offset_size, raw.offset_size).offset()
            if row < direct:
                return block + offset
            rows = (size // (self.start * self.width)).bit_length()
        if rows or offset >= self.largest:
            raise raw.error("an object lies outside its fractal heap")
        return block + offset


def _records(raw: Bytes, address: int) -> Iterator[bytes]:
    """All records of the version 2 B-tree at an address, in order."""
    raw.visit(address, "B-tree")
    cursor = raw.cursor(address, 18 + raw.offset_size + raw.length_size)
    if cursor.take(5) != b"BTHD\0":
        raise raw.error(f"there is no B-tree at byte {address}")
    cursor.take(1)
    node_size, width, depth = cursor.number(4), cursor.number(2), cursor.number(2)
    cursor.take(2)
    root, count, total = cursor.offset(), cursor.number(2), cursor.length()
    if depth > 16 or width < 8 or node_size < 64 or total > _RECORDS:
        raise raw.error(f"the B-tree at byte {address} is too deep, too large or damaged")
    if total:
        yield from _node(raw, root, count, depth, width, _pointer_widths(raw, node_size, width, depth))


def _pointer_widths(raw: Bytes, node_size: int, width: int, depth: int) -> list[tuple[int, int]]:
    """Per depth, the bytes of a child's record count and of its total count: as many as their largest values need."""
    most = total = max(1, (node_size - 10) // width)
    own = (most.bit_length() + 7) // 8
    widths = [(0, 0)]
    for level in range(1, depth + 1):
        below = (total.bit_length() + 7) // 8 if level > 1 else 0
        widths.append((own, below))
        pointer = raw.offset_size + own + below
        most = max(1, (node_size - 10 - pointer) // (width + pointer))
        total = (most + 1) * total + most
    return widths


def _node(
    raw: Bytes, address: int, count: int, depth: int, width: int, widths: list[tuple[int, int]]
) -> Iterator[bytes]:
    raw.visit(address, "node of a B-tree")
    own, below = widths[depth]
    pointer = raw.offset_size + own + below
    cursor = raw.cursor(address, 6 + count * width + ((count + 1) * pointer if depth else 0))
    magic = struct.unpack("<4sBB", cursor.take(6))[0]
    if magic != (b"BTIN" if depth else b"BTLF"):
        raise raw.error(f"there is no node of a B-tree at byte {address}")
    records = [cursor.take(width) for _ in range(count)]
    if not depth:
        yield from records
        return
    for position in range(count + 1):
        child, held = cursor.offset(), cursor.number(own)
        cursor.take(below)
        yield from _node(raw, child, held, depth - 1, width, widths)
        if position < count:
            yield records[position]

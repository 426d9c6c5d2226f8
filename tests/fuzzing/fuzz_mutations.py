"""Ways to damage a file: blind ones for any bytes, and some that keep the structure around the damage valid.

Checksums and lengths that enclose each other would otherwise turn nearly every change into the same error early on.
"""

import io
import re
import struct
import zipfile
from collections.abc import Callable, Sequence
from random import Random

EXTREMES = (
    0,
    1,
    -1,
    2,
    127,
    128,
    255,
    256,
    65535,
    65536,
    1 << 20,
    2**31 - 1,
    2**31,
    2**32 - 1,
    2**32,
    2**62,
    2**63 - 1,
)
TEXTS = (
    *(
        "-1",
        "0",
        "0.5",
        "1e999",
        "NaN",
        "true",
        "null",
        "{}",
        "[]",
        '""',
        '"\\u0000\\n\\u001b[2J"',
        '"\\ud800"',
        '"../x"',
    ),
    *(str(1 << power) for power in (31, 32, 56, 62, 63, 64, 200)),
    "[" * 40 + "]" * 40,
    "9" * 5000,
)
LONGEST = 1 << 20

Change = Callable[[bytes, Random], bytes]


def mutate(data: bytes, random: Random, others: Sequence[bytes] = (), inner: Change | None = None) -> bytes:
    """One to four changes of the bytes of a file.

    Args:
        data: the bytes.
        random: decides everything.
        others: files of the same format, to splice with.
        inner: what changes a part when the structure around it is kept; the changes of this module unless given.
    """
    for _ in range(random.choice((1, 1, 1, 2, 4))):
        if others and random.random() < 0.1:
            data = _spliced(data, random.choice(others), random)
        elif random.random() < 0.6:
            data = _structured(data, random, inner or _damaged)
        else:
            data = (inner or _damaged)(data, random)
    return data[:LONGEST]


def _damaged(data: bytes, random: Random) -> bytes:
    return random.choice(_BLIND)(data, random)


def _structured(data: bytes, random: Random, inner: Change) -> bytes:
    """Change a part of a container and make its lengths and checksums fit again, where the container is known."""
    if data[:2] == b"PK":
        return _in_zip(data, random, inner)
    if data[8:9] == b"{":
        return _in_header(data, random, inner)
    if data[:6] == b"\x93NUMPY" and len(data) > 10:
        return _in_array(data, random, inner)
    if data[:1] in (b"\x08", b"\x0a") and len(data) > 4:
        return _in_message(data, random, inner)
    return inner(data, random)


def _in_zip(data: bytes, random: Random, inner: Change) -> bytes:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = [(info.filename, archive.read(info), info.compress_type) for info in archive.infolist()]
    except (zipfile.BadZipFile, zipfile.LargeZipFile, ValueError, OSError, EOFError, NotImplementedError, RuntimeError):
        return inner(data, random)
    except Exception as error:  # noqa: BLE001 - zlib.error and struct.error among others: a seed that is damaged already
        assert not isinstance(error, MemoryError)  # noqa: PT017
        return inner(data, random)
    if not members:
        return inner(data, random)
    weights = [4 if name.endswith((".pkl", ".json", ".h5")) else 1 for name, _, _ in members]
    at = random.choices(range(len(members)), weights)[0]
    name, content, method = members[at]
    kind = random.random()
    if kind < 0.75:
        members[at] = name, _structured(content, random, inner), method
    elif kind < 0.85:
        members[at] = _renamed(name, members, random), content, method
    elif kind < 0.9:
        del members[at]
    else:
        members[at] = name, content, zipfile.ZIP_DEFLATED if method == zipfile.ZIP_STORED else zipfile.ZIP_STORED
    return zipped(members)


def _renamed(name: str, members: Sequence[tuple[str, bytes, int]], random: Random) -> str:
    other = random.choice(members)[0]
    return random.choice(
        (f"../{name}", f"/{name}", f"{name}\n", f"{name}\0x", f"x/{name}", other, name.upper(), "\x1b[2J")
    )


def zipped(members: Sequence[tuple[str, bytes, int]]) -> bytes:
    """A zip file of members (name, content, method); names may repeat."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content, method in members:
            info = zipfile.ZipInfo("x")
            info.filename = name  # past the constructor, which would clean it
            info.compress_type = method
            if info.filename in archive.NameToInfo:
                del archive.NameToInfo[info.filename]  # or zipfile warns
            archive.writestr(info, content)
    return buffer.getvalue()


def _in_header(data: bytes, random: Random, inner: Change) -> bytes:
    (length,) = struct.unpack("<Q", data[:8])
    header = _in_text(data[8 : 8 + length], random, inner)
    return struct.pack("<Q", len(header)) + header + data[8 + length :]


def _in_text(text: bytes, random: Random, inner: Change) -> bytes:
    """Replace a value of JSON text, or exchange two."""
    kind = random.choice((rb'"[^"]*"', rb"-?\d+", rb"-?\d+", rb"\[[^\[\]]*\]|\([^()]*\)", rb"[Tt]rue|[Ff]alse|null"))
    found = list(re.finditer(kind, text))
    if not found or random.random() < 0.3:
        return inner(text, random)
    match = random.choice(found)
    new = random.choice(found)[0] if random.random() < 0.3 else random.choice(TEXTS).encode()
    return text[: match.start()] + new + text[match.end() :]


def _in_array(data: bytes, random: Random, inner: Change) -> bytes:
    (length,) = struct.unpack("<H", data[8:10])
    header = _in_text(data[10 : 10 + length], random, inner)[:65535]
    return data[:8] + struct.pack("<H", len(header)) + header + data[10 + length :]


def _in_message(data: bytes, random: Random, inner: Change, depth: int = 0) -> bytes:
    """Change a field of a protobuf message, however deep; the lengths around it fit again."""
    fields = _fields(data)
    if not fields or depth > 8 or random.random() < 0.15:
        return inner(data, random)
    at = random.randrange(len(fields))
    tag, content, wire = fields[at]
    kind = random.random()
    if kind < 0.1:
        fields.insert(random.randrange(len(fields) + 1), fields[at])
    elif kind < 0.2:
        del fields[at]
    elif kind < 0.25:
        fields[at] = (random.choice((8, 16, 26, 34, 42, 58, 74)) if tag < 128 else tag), content, wire
    elif wire == 0:
        fields[at] = tag, _varint(random.choice(EXTREMES) & (2**64 - 1)), wire
    elif wire == 2:
        fields[at] = tag, _in_message(content, random, inner, depth + 1), wire
    else:
        fields[at] = tag, random.randbytes(len(content)), wire
    return b"".join(
        _varint(tag) + (_varint(len(content)) if wire == 2 else b"") + content for tag, content, wire in fields
    )


def _fields(data: bytes) -> list[tuple[int, bytes, int]]:
    """Tag, content and wire type of each field; [] where these bytes are no message."""
    found, position = [], 0
    while position < len(data) and len(found) < 10_000:
        tag, position = _read_varint(data, position)
        wire = tag & 7
        if wire == 0:
            _, end = _read_varint(data, position)
        elif wire == 2:
            length, position = _read_varint(data, position)
            end = position + length
        elif wire in (1, 5):
            end = position + (8 if wire == 1 else 4)
        else:
            return []
        if tag >> 3 == 0 or end > len(data):
            return []
        found.append((tag, data[position:end], wire))
        position = end
    return found


def _read_varint(data: bytes, position: int) -> tuple[int, int]:
    value = 0
    for step in range(10):
        byte = data[position + step] if position + step < len(data) else 0
        value |= (byte & 127) << (7 * step)
        if byte < 128:
            return value, position + step + 1
    return 0, position + 10


def _varint(value: int) -> bytes:
    found = bytearray()
    while value > 127:
        found.append(value & 127 | 128)
        value >>= 7
    return bytes([*found, value])


def _spliced(data: bytes, other: bytes, random: Random) -> bytes:
    start, length = _span(data, random)
    first, count = _span(other, random)
    return data[:start] + other[first : first + count] + data[start + length :]


def _span(data: bytes, random: Random) -> tuple[int, int]:
    """Where a part of these bytes starts and how long it is; mostly short, and early as headers are."""
    early = min(len(data), 2048) if random.random() < 0.5 else len(data)
    start = random.randrange(early + 1)
    return start, random.randrange(random.choice((2, 9, 65, max(2, len(data) - start))))


def _flip(data: bytes, random: Random) -> bytes:
    changed = bytearray(data)
    for _ in range(random.choice((1, 1, 2, 8)) if data else 0):
        changed[min(_span(data, random)[0], len(data) - 1)] ^= 1 << random.randrange(8)
    return bytes(changed)


def _truncate(data: bytes, random: Random) -> bytes:
    return data[: random.choice((_span(data, random)[0], max(0, len(data) - random.randrange(1, 32))))]


def _duplicate(data: bytes, random: Random) -> bytes:
    start, length = _span(data, random)
    times = random.choice((1, 1, 1, 2, 16))
    return data[: start + length] + data[start : start + length][:4096] * times + data[start + length :]


def _delete(data: bytes, random: Random) -> bytes:
    start, length = _span(data, random)
    return data[:start] + data[start + length :]


def _insert(data: bytes, random: Random) -> bytes:
    start, length = _span(data, random)
    new = random.choice((random.randbytes(min(length, 4096)), b"\0" * min(length, 4096), b"\n\x1b[2J\xff\xfe", b"../"))
    return data[:start] + new + data[start:]


def _overwrite(data: bytes, random: Random) -> bytes:
    """An extreme number where perhaps another one was."""
    width = random.choice((1, 2, 4, 8))
    order = random.choice(("little", "big"))
    start = _span(data, random)[0]
    start -= start % width if random.random() < 0.5 else 0
    new = (random.choice(EXTREMES) & ((1 << 8 * width) - 1)).to_bytes(width, order)
    return data[:start] + new + data[start + width :]


def _nudge(data: bytes, random: Random) -> bytes:
    """A number a little larger or smaller than it was."""
    if len(data) < 8:
        return data
    width = random.choice((1, 2, 4, 8))
    start = min(_span(data, random)[0], len(data) - width)
    old = int.from_bytes(data[start : start + width], "little")
    new = (old + random.choice((-8, -1, 1, 4, 8, 64, old))) & ((1 << 8 * width) - 1)
    return data[:start] + new.to_bytes(width, "little") + data[start + width :]


def _copy(data: bytes, random: Random) -> bytes:
    """One part written over another of the same length: addresses that then point to the same place."""
    start, length = _span(data, random)
    target = _span(data, random)[0]
    return data[:target] + data[start : start + length] + data[target + length :]


def _swap(data: bytes, random: Random) -> bytes:
    start, length = _span(data, random)
    return (
        data[:start]
        + data[start + length : start + 2 * length]
        + data[start : start + length]
        + data[start + 2 * length :]
    )


def _number(data: bytes, random: Random) -> bytes:
    """A number written out in text."""
    found = list(re.finditer(rb"\d+", data[:65536]))
    if not found:
        return _overwrite(data, random)
    match = random.choice(found)
    return data[: match.start()] + random.choice(TEXTS).encode() + data[match.end() :]


_BLIND: tuple[Change, ...] = (
    *(_flip, _flip, _overwrite, _overwrite, _overwrite, _nudge, _nudge),
    *(_truncate, _duplicate, _delete, _insert, _copy, _swap, _number),
)

"""Checkpoints cut into shards: an index that maps each weight to its file, or files numbered `-00001-of-00003`.

Reference: https://huggingface.co/docs/transformers/big_models#sharded-checkpoints
"""

import posixpath
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from weightsmith.errors import SourceError
from weightsmith.names import printable
from weightsmith.sources.file import File, FileLike, as_file, inside
from weightsmith.sources.json_file import INDEX_LIMIT, read_json
from weightsmith.sources.single import open_single, recognize
from weightsmith.sources.source import Aside, Source, Weight


def open_sharded(what: FileLike) -> Source:
    """Open all shards that an index names, as one source; each shard is opened once, in the order of the names.

    Weights of shards that the index does not take from there are listed in `aside`.

    Raises:
        SourceError: the index is malformed or too long, names itself, another index or a path out of its folder; a
            shard is missing or malformed; or a weight is not in the shard that the index names.
    """
    index = as_file(what)
    metadata, homes = _parse(index)
    shards = {shard: _open_shard(index, shard, homes) for shard in sorted(set(homes.values()))}
    weights: list[Weight] = []
    aside: list[Aside] = []
    for shard, source in shards.items():
        _check_complete(index, shard, source, homes)
        for name, weight in source.items():
            if homes.get(name) == shard:
                weights.append(weight)
            else:
                taken = f"the index takes it from {homes[name]}" if name in homes else "not in the index"
                aside.append(Aside(name, f"in {printable(shard)}: {printable(taken)}", weight.nbytes))
    joined = _joined(index.label, list(shards.values()), weights, aside)
    joined.metadata.update(metadata)
    return joined


def join(label: str, pieces: Sequence[tuple[str, Source]]) -> Source:
    """One source over several that belong together, such as components of a pipeline or shards without an index.

    Args:
        label: what people call the whole.
        pieces: each with a prefix for the names of its weights, `""` for none.

    Raises:
        SourceError: two pieces have a weight of the same name.
    """
    weights = [_prefixed(weight, prefix) for prefix, piece in pieces for weight in piece.values()]
    counts = Counter(weight.name for weight in weights)
    twice = next((name for name, count in counts.items() if count > 1), None)
    if twice is not None:
        raise SourceError(
            f"{printable(label)}: '{printable(twice[:200])}' is in several of its files: open one of them alone"
        )
    return _joined(label, [piece for _, piece in pieces], weights, [])


def _joined(label: str, pieces: Sequence[Source], weights: Iterable[Weight], aside: Sequence[Aside]) -> Source:
    metadata = {key: text for piece in pieces for key, text in piece.metadata.items()}
    return Source(
        label,
        weights,
        metadata,
        file_format=pieces[0].file_format if pieces else "",
        aside=[*(each for piece in pieces for each in piece.aside), *aside],
        files=[file for piece in pieces for file in piece.files],
    )


def _prefixed(weight: Weight, prefix: str) -> Weight:
    if not prefix:
        return weight
    tied = weight.info.tied_to
    info = replace(weight.info, name=prefix + weight.name, tied_to=None if tied is None else prefix + tied)
    return replace(weight, info=info)


def _parse(index: File) -> tuple[dict[str, str], dict[str, str]]:
    """The index's metadata as text, and the shard of each weight with its path in the shortest form."""
    shown = printable(index.label)
    data = read_json(index, INDEX_LIMIT)
    homes = data.get("weight_map") if isinstance(data, dict) else None
    if homes is None:
        raise SourceError(f"{shown} is JSON text without a weight_map: give a file or folder of weights")
    if not isinstance(homes, dict) or not all(isinstance(shard, str) for shard in homes.values()):
        raise SourceError(f"{shown}: its weight_map does not map names to files")
    if not homes:
        raise SourceError(f"{shown}: its weight_map is empty")
    paths = {shard: _path(index, shard) for shard in set(homes.values())}
    metadata = data.get("metadata")
    return _as_text(metadata), {name: paths[shard] for name, shard in homes.items()}


def _path(index: File, shard: str) -> str:
    path = posixpath.normpath(inside(shard, index.label).replace("\\", "/"))
    own = posixpath.basename(index.label.replace("\\", "/"))
    if path == own or path.lower().endswith(".index.json"):
        raise SourceError(
            f"{printable(index.label)}: names {'itself' if path == own else 'another index'} "
            f"('{printable(path[:200])}') as a shard"
        )
    return path


def _as_text(metadata: Any) -> dict[str, str]:
    if not isinstance(metadata, dict):
        return {}
    return {key: value if isinstance(value, str) else str(value)[:200] for key, value in metadata.items()}


def _open_shard(index: File, shard: str, homes: Mapping[str, str]) -> Source:
    shown = printable(shard[:200])
    try:
        file = index.sibling(shard)
    except SourceError as error:
        held = sum(home == shard for home in homes.values())
        raise SourceError(
            f"{printable(index.label)}: shard '{shown}', which holds {held} of {len(homes)} weights, does not open "
            f"({error}): put it beside the index"
        ) from None
    file_format = recognize(file)
    if file_format.name == "index":
        raise SourceError(f"{printable(index.label)}: shard '{shown}' is an index itself")
    return open_single(file, file_format)


def _check_complete(index: File, shard: str, source: Source, homes: Mapping[str, str]) -> None:
    missing = [name for name, home in homes.items() if home == shard and name not in source]
    if missing:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise SourceError(
            f"{printable(index.label)}: '{printable(missing[0][:200])}'{more} should be in {printable(shard)} and is "
            "not: index and shards do not belong together"
        )

"""What PyTorch's pickles are made of: inert stand-ins for its storages, tensors and types, and for NumPy's.

`KNOWN` is the whole list of classes and functions that a checkpoint may name. None of them is imported or called.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from weightsmith.sources.numpy_objects import Array, Numpy, from_buffer, number
from weightsmith.sources.torch_types import ALIASES, FLOATS, PLAIN, STORAGES, TYPES, Type
from weightsmith.sources.unpickling import Fields, Global, Opaque, PickleError, naturals, pairs


@dataclass(frozen=True)
class StorageClass(Global):
    """A global such as `torch.FloatStorage`; `type` is that of its elements."""

    type: Type = TYPES["uint8"]


@dataclass(frozen=True)
class TypeGlobal(Global):
    """A global such as `torch.float8_e4m3fn`."""

    type: Type = TYPES["uint8"]


@dataclass(frozen=True)
class Storage:
    """Elements back to back, kept outside of the pickle.

    Attributes:
        key: names it in the file.
        type: of its elements.
        total: elements that the file keeps under that key.
        begin: first of them that belongs to this storage; not 0 only for the views of old files.
        count: how many belong to it.
    """

    key: str
    type: Type
    total: int
    begin: int
    count: int


@dataclass(frozen=True, eq=False)
class Tensor:
    """A strided view of a storage, as the file describes it: nothing is checked but the kinds of values."""

    storage: Storage
    type: Type
    offset: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Unreadable:
    """A tensor that has no plain values; `reason` says why in a few words."""

    reason: str
    nbytes: int = 0


def storage_of(identity: object, storages: dict[str, Storage]) -> Storage:
    """The storage that a persistent id names: ("storage", class, key, location, elements[, view]).

    Args:
        identity: the persistent id.
        storages: those that were named before; the new one is added.

    Raises:
        PickleError: it makes no sense, or contradicts an earlier one of the same key.
    """
    if not isinstance(identity, tuple) or len(identity) < 5 or identity[0] != "storage":
        if isinstance(identity, tuple) and identity[:1] == ("module",):
            raise PickleError(
                "holds a whole pickled module, whose code is never run: where its class is known, save the weights "
                "alone with torch.save(model.state_dict(), 'weights.pt')"
            )
        raise PickleError("refers to something outside of the pickle that is no storage")
    kind, key, count = identity[1], identity[2], identity[4]
    if not isinstance(kind, StorageClass) or not isinstance(key, str):
        raise PickleError("names a storage that makes no sense")
    (total,) = naturals((count,))
    storage = Storage(key, kind.type, total, 0, total)
    if storages.setdefault(key, storage) != storage:
        raise PickleError("names one storage twice, with two types or lengths")
    view = identity[5] if len(identity) > 5 else None
    if view is None:
        return storage
    if not isinstance(view, tuple) or len(view) != 3:
        raise PickleError("names a view of a storage that makes no sense")
    begin, length = naturals(view[1:])
    if begin + length > total:
        raise PickleError("names a view that reaches out of its storage")
    return Storage(key, kind.type, total, begin, length)


def _tensor(arguments: tuple[Any, ...]) -> Tensor:
    storage, offset, shape, stride = arguments[:4]
    if not isinstance(storage, Storage):
        raise PickleError("a tensor has no storage")
    return _view(storage, storage.type, offset, shape, stride)


def _typed_tensor(arguments: tuple[Any, ...]) -> Tensor:
    storage, offset, shape, stride, _, _, kind = arguments[:7]
    if not isinstance(storage, Storage) or not isinstance(kind, TypeGlobal):
        raise PickleError("a tensor has no storage or type")
    return _view(storage, kind.type, offset, shape, stride)


def _view(storage: Storage, kind: Type, offset: object, shape: object, stride: object) -> Tensor:
    (start,) = naturals((offset,))
    sizes, steps = naturals(shape), naturals(stride)
    if len(sizes) != len(steps):
        raise PickleError("a tensor has a shape and strides of different lengths")
    return Tensor(storage, kind, start, sizes, steps)


def _unreadable(reason: str) -> Callable[[tuple[Any, ...]], Unreadable]:
    return lambda arguments: Unreadable(reason)


def _quantized(arguments: tuple[Any, ...]) -> Unreadable:
    tensor = _tensor(arguments)
    reason = f"a quantized tensor ({tensor.type.name}): dequantize it and save it again"
    return Unreadable(reason, tensor.storage.count * tensor.type.itemsize)


def _first(arguments: tuple[Any, ...]) -> Any:
    return arguments[0]


def _first_or_list(arguments: tuple[Any, ...]) -> Any:
    return arguments[0] if arguments else []


def _subclassed(arguments: tuple[Any, ...]) -> Any:
    function, _, inner = arguments[:3]
    if not isinstance(function, Global) or not isinstance(inner, tuple):
        raise PickleError("a tensor with attributes makes no sense")
    if function.name == _SUBCLASSED:
        raise PickleError("a tensor with attributes is made of itself")  # would nest as deep as the file likes
    return function.build(inner)


def _dictionary(arguments: tuple[Any, ...]) -> dict[Any, Any]:
    given = arguments[0] if arguments else {}
    return given if isinstance(given, dict) else pairs(given)


def _ordered(arguments: tuple[Any, ...]) -> dict[Any, Any]:
    return _dictionary(arguments) if arguments else {}


def _bytes(arguments: tuple[Any, ...]) -> bytes:
    given = arguments[0] if arguments else b""
    if isinstance(given, str):  # protocol 2 keeps bytes as text: _codecs.encode(text, "latin1")
        return given.encode("latin-1")
    if not isinstance(given, bytes):
        raise PickleError("bytes are made of something else")
    return given


def _joined(arguments: tuple[Any, ...]) -> str:
    return "/".join(part for part in arguments if isinstance(part, str))


def _device(arguments: tuple[Any, ...]) -> str:
    return ":".join(str(part)[:20] for part in arguments[:2] if type(part) in (str, int))


def _opaque(name: str) -> Global:
    return Global(name, lambda arguments: Opaque(name))


def _globals() -> dict[str, Global]:
    table = {name: Global(name, build) for name, build in _BUILDERS.items()}
    for prefix, name in STORAGES.items():
        for module in ("torch", "torch.cuda", "torch.storage"):
            full = f"{module}.{prefix}Storage"
            table[full] = StorageClass(full, _unreadable("a bare storage"), TYPES[name])
    for full in ("torch.UntypedStorage", "torch.storage.UntypedStorage", "torch.storage._UntypedStorage"):
        table[full] = StorageClass(full, _unreadable("a bare storage"), TYPES["uint8"])
    for name in (*TYPES, *ALIASES):
        kind = TYPES[ALIASES.get(name, name)]
        table[f"torch.{name}"] = TypeGlobal(f"torch.{name}", _unreadable("a type"), kind)
    names = [f"{module}.{name}" for module, listed in _OPAQUE_IN.items() for name in listed]
    return table | {name: _opaque(name) for name in names}


_SUBCLASSED: Final = "torch._tensor._rebuild_from_type_v2"

_META: Final = "a tensor on the meta device, without values"
_SPARSE: Final = "a sparse tensor: save tensor.to_dense()"

_BUILDERS: Final[dict[str, Callable[[tuple[Any, ...]], Any]]] = {
    "torch._utils._rebuild_tensor": _tensor,
    "torch._utils._rebuild_tensor_v2": _tensor,
    "torch._utils._rebuild_tensor_v3": _typed_tensor,
    "torch._utils._rebuild_parameter": _first,
    "torch._utils._rebuild_parameter_with_state": _first,
    "torch._utils._rebuild_device_tensor_from_cpu_tensor": _first,
    "torch._utils._rebuild_device_tensor_from_numpy": _first,
    "torch._utils._rebuild_qtensor": _quantized,
    "torch._utils._rebuild_sparse_tensor": _unreadable(_SPARSE),
    "torch._utils._rebuild_sparse_csr_tensor": _unreadable(_SPARSE),
    "torch._utils._rebuild_nested_tensor": _unreadable("a nested tensor: save its parts"),
    "torch._utils._rebuild_meta_tensor_no_storage": _unreadable(_META),
    "torch._utils._rebuild_wrapper_subclass": _unreadable("a tensor of a class of its own"),
    _SUBCLASSED: _subclassed,
    "torch.Size": _first,
    "torch.device": _device,
    "torch.serialization._get_layout": lambda arguments: Opaque("torch.layout"),
    "collections.OrderedDict": _ordered,
    "collections.Counter": _dictionary,
    "collections.defaultdict": lambda arguments: {},
    "collections.deque": _first_or_list,
    "builtins.set": _first_or_list,
    "builtins.frozenset": _first_or_list,
    "builtins.list": _first_or_list,
    "builtins.tuple": _first_or_list,
    "builtins.dict": _dictionary,
    "builtins.bytes": _bytes,
    "builtins.bytearray": _bytes,
    "_codecs.encode": _bytes,
    "copyreg._reconstructor": lambda arguments: arguments[0].build(()) if isinstance(arguments[0], Global) else None,
    "argparse.Namespace": lambda arguments: Fields(),
    "types.SimpleNamespace": lambda arguments: Fields(),
    "lightning_fabric.utilities.data.AttributeDict": lambda arguments: Fields(),
    "lightning.fabric.utilities.data.AttributeDict": lambda arguments: Fields(),
    "pytorch_lightning.utilities.parsing.AttributeDict": lambda arguments: Fields(),
    "pathlib.Path": _joined,
    "pathlib.PosixPath": _joined,
    "pathlib.PurePosixPath": _joined,
    "pathlib.WindowsPath": _joined,
    "pathlib.PureWindowsPath": _joined,
    "pathlib._local.PosixPath": _joined,
    "pathlib._local.WindowsPath": _joined,
    "numpy.dtype": lambda arguments: Numpy(arguments[0]),
    **{
        f"numpy.{core}.{name}": build
        for core in ("core", "_core")
        for name, build in {
            "multiarray._reconstruct": lambda arguments: Array(),
            "multiarray.scalar": number,
            "numeric._frombuffer": from_buffer,
        }.items()
    },
}

_OPAQUE_IN: Final[dict[str, tuple[str, ...]]] = {
    "builtins": ("object", "int", "float", "str", "bool", "complex", "range", "slice"),
    "datetime": ("date", "time", "datetime", "timedelta", "timezone"),
    "decimal": ("Decimal",),
    "fractions": ("Fraction",),
    "uuid": ("UUID",),
    "typing": ("Any",),
    "numpy": ("ndarray", "bool_", *PLAIN, *FLOATS),
    "omegaconf.base": ("ContainerMetadata", "Metadata"),
    "omegaconf.dictconfig": ("DictConfig",),
    "omegaconf.listconfig": ("ListConfig",),
    "omegaconf.nodes": ("AnyNode", "IntegerNode", "FloatNode", "StringNode", "BooleanNode"),
    "pytorch_lightning.callbacks.early_stopping": ("EarlyStopping",),
    "pytorch_lightning.callbacks.model_checkpoint": ("ModelCheckpoint",),
    "torch.nn.parameter": ("Parameter", "Buffer"),
    "torch": (
        *("Tensor", "per_tensor_affine", "per_channel_affine", "per_channel_affine_float_qparams"),
        *("strided", "sparse_coo", "sparse_csr", "sparse_csc", "sparse_bsr", "sparse_bsc"),
        *("contiguous_format", "preserve_format", "channels_last", "channels_last_3d"),
    ),
}
"""Hyperparameters and tags that tell nothing about weights, by module."""

KNOWN: Final[dict[str, Global]] = _globals()
"""Stand-ins by full name."""

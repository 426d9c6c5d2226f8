"""The formats: one literal table of what opens, one of what is known but refused, and how to convert it.

Files are told apart by their content, as suffixes lie: `.bin`, `.pt` and `.h5` each stand for several formats.
`signature` is a regular expression over a file's first bytes; formats without a fixed beginning are told in `single`.
"""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Format:
    """A format that opens.

    Attributes:
        name: what `Source.file_format` says.
        what: what it is, with its article, as a sentence would say it.
        suffixes: how names of such files usually end; they decide nothing where the content speaks for itself.
        told_by: how its content is recognized, for people.
        opener: `module:function` in this folder, imported when the first such file is opened.
        reading: how its values are read, for people.
        signature: how its first bytes look, or None where more than that has to be looked at.
        knows_layers: whether its reader learns roles and layers from the file; else names, shapes and siblings tell.
    """

    name: str
    what: str
    suffixes: tuple[str, ...]
    told_by: str
    opener: str
    reading: str
    signature: bytes | None = None
    knows_layers: bool = False


@dataclass(frozen=True)
class Foreign:
    """A format that is known, and refused with the way to convert it.

    Attributes:
        what: what it is, with its article.
        suffixes: how names of such files end.
        advice: what to do instead, in one line.
        signature: how its first bytes look; None where only the suffix can tell.
    """

    what: str
    suffixes: tuple[str, ...]
    advice: str
    signature: bytes | None = None


FORMATS: Final[dict[str, Format]] = {
    each.name: each
    for each in (
        Format(
            "safetensors",
            "a safetensors file",
            (".safetensors",),
            "the length of its header, then `{`",
            "safetensors:open_safetensors",
            "any range of any tensor, straight from the file",
        ),
        Format(
            "packed",
            "a packed model",
            (".packed.safetensors",),
            "safetensors with `weightsmith.packed` in its metadata",
            "packed:open_packed",
            "weight by weight, decoded in blocks, as [packing.md](packing.md) describes",
        ),
        Format(
            "index",
            "the index of a sharded checkpoint",
            (".safetensors.index.json", ".bin.index.json"),
            "JSON text with a `weight_map`",
            "sharded:open_sharded",
            "as its shards; each is opened once",
        ),
        Format(
            "torch",
            "a PyTorch checkpoint",
            (".pt", ".pth", ".ckpt", ".bin", ".pth.tar"),
            "zip with a `data.pkl`, or the magic number of the format before PyTorch 1.6",
            "torch_zip:open_torch",
            "any range of any tensor, straight from the file; nothing is unpickled but tensors",
            rb"\x80[\x02-\x05](?:\x95.{8})?\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19\.",
        ),
        Format(
            "torchscript",
            "a TorchScript archive",
            (".jit", ".ptl", ".torchscript"),
            "zip with a `data.pkl` and a `constants.pkl`",
            "torchscript:open_torchscript",
            "any range of any tensor, straight from the file; its code is never run",
        ),
        Format(
            "keras",
            "a Keras model",
            (".keras",),
            "zip with a `config.json` and a `model.weights.h5`",
            "keras:open_keras",
            "tensor by tensor, in blocks",
            knows_layers=True,
        ),
        Format(
            "hdf5",
            "an HDF5 file",
            (".h5", ".hdf5", ".weights.h5"),
            "`\\x89HDF` at byte 0, 512, 1024, 2048, ...",
            "hdf5:open_hdf5",
            "tensor by tensor, in blocks",
            knows_layers=True,
        ),
        Format(
            "onnx",
            "an ONNX model",
            (".onnx",),
            "protobuf with the fields of an ONNX model; the suffix where it breaks off before the graph ends",
            "onnx:open_onnx",
            "any range of raw and external data, straight from the file",
            knows_layers=True,
        ),
        Format(
            "tflite",
            "a TensorFlow Lite model",
            (".tflite", ".lite"),
            "`TFL3` at byte 4",
            "tflite:open_tflite",
            "any range of any tensor, straight from the file",
            rb".{4}TFL3",
            knows_layers=True,
        ),
        Format(
            "npz",
            "a NumPy archive",
            (".npz",),
            "zip with members that end in `.npy`",
            "numpy_files:open_npz",
            "straight from the file where stored, in blocks where compressed",
        ),
        Format(
            "npy",
            "a NumPy array",
            (".npy",),
            "`\\x93NUMPY`",
            "numpy_files:open_npy",
            "any range, straight from the file",
            rb"\x93NUMPY",
        ),
        Format(
            "gguf",
            "a GGUF model",
            (".gguf",),
            "`GGUF`",
            "gguf:open_gguf",
            "any range of plain types; quantized ones are dequantized in blocks",
            rb"GGUF",
            knows_layers=True,
        ),
    )
}

_IN_TENSORFLOW = "load it in TensorFlow and save it as model.keras or model.weights.h5"
_UNPACK = "unpack it and open the file inside"
_STATE_DICT = "load it where its code is and save safetensors.torch.save_file(model.state_dict(), 'model.safetensors')"

FOREIGN: Final[tuple[Foreign, ...]] = (
    Foreign(
        "a Git LFS pointer, not the file itself", (), "fetch it with: git lfs pull", rb"version https://git-lfs\.github"
    ),
    Foreign(
        "an HTML page, not weights",
        (".html",),
        "download it again: the address led to a page, perhaps a login",
        rb"\s*<(?i:!doctype html|html)",
    ),
    Foreign("a TensorFlow SavedModel or frozen graph", (".pb",), _IN_TENSORFLOW),
    Foreign("a part of a TensorFlow checkpoint", (".index", ".data-00000-of-00001", ".meta"), _IN_TENSORFLOW),
    Foreign(
        "a Core ML model",
        (".mlmodel", ".mlpackage"),
        "convert what it was made from, or read it with coremltools and save its arrays with numpy.savez",
    ),
    Foreign(
        "a PaddlePaddle checkpoint",
        (".pdparams", ".pdopt", ".pdiparams"),
        "paddle.load it and save numpy.savez('model.npz', **{k: v.numpy() for k, v in state.items()})",
    ),
    Foreign(
        "a Flax msgpack checkpoint",
        (".msgpack",),
        "flax.serialization.msgpack_restore it, flatten it and save it with safetensors.numpy.save_file",
        rb"[\x81-\x8f\xde\xdf].{0,4}[\xa1-\xbf\xd9][A-Za-z_]",
    ),
    Foreign("a checkpoint of torch.export", (".pt2",), _STATE_DICT),
    Foreign("an ExecuTorch program", (".pte",), "open the model that it was exported from", rb".{4}ET1\d"),
    Foreign("a TensorRT engine", (".engine", ".plan", ".trt"), "open the ONNX file that it was built from", rb"ftrt"),
    Foreign(
        "a GGML file from before GGUF",
        (".ggml",),
        "convert it with llama.cpp's convert_llama_ggml_to_gguf.py",
        rb"lmgg|fmgg|tjgg",
    ),
    Foreign("a Torch7 file", (".t7",), "torchfile.load it and save its arrays with numpy.savez"),
    Foreign("a Caffe model", (".caffemodel",), "read it with cv2.dnn or caffe, and save its blobs with numpy.savez"),
    Foreign("a Darknet file", (".weights",), "convert it to ONNX or PyTorch with the darknet tools"),
    Foreign("an MXNet checkpoint", (".params",), "mxnet.nd.load it and save its arrays with numpy.savez"),
    Foreign(
        "a MATLAB file",
        (".mat",),
        "scipy.io.loadmat it and save its arrays with numpy.savez",
        rb"MATLAB 5\.0 MAT-file",
    ),
    Foreign(
        "an Apache Parquet file",
        (".parquet",),
        "it holds a table; save arrays with safetensors or numpy.savez",
        rb"PAR1",
    ),
    Foreign("a tar archive", (".tar", ".nemo"), _UNPACK, rb".{257}ustar"),
    Foreign("a gzip file", (".gz", ".tgz"), _UNPACK, rb"\x1f\x8b"),
    Foreign("a 7z archive", (".7z",), _UNPACK, rb"7z\xbc\xaf'\x1c"),
    Foreign("a RAR archive", (".rar",), _UNPACK, rb"Rar!\x1a\x07"),
    Foreign("an xz file", (".xz",), _UNPACK, rb"\xfd7zXZ\x00"),
    Foreign("a bzip2 file", (".bz2",), _UNPACK, rb"BZh[1-9]1AY&SY"),
    Foreign("a Zstandard file", (".zst",), _UNPACK, rb"\x28\xb5\x2f\xfd"),
    Foreign("a zip archive of other files", (".zip", ".mar"), _UNPACK),
    Foreign(
        "a pickle of Python objects, which could run any code when it is loaded",
        (".pkl", ".pickle", ".joblib", ".dill"),
        "load it where you trust it, and save its arrays with safetensors.numpy.save_file or numpy.savez",
        rb"\x80[\x02-\x05]",
    ),
)

TRAINING_STATE: Final = (
    "optimizer",
    "scheduler",
    "scaler",
    "rng_state",
    "random_states",
    "training_args",
    "trainer_state",
)
"""How the files begin that trainers leave beside the weights."""


def of_suffix(name: str) -> Format | Foreign | None:
    """The format whose suffix is the longest that a file's name ends in, whatever its case."""
    lower = name.lower()
    formats: list[Format | Foreign] = [*FORMATS.values(), *FOREIGN]
    known = [(suffix, each) for each in formats for suffix in each.suffixes]
    fitting = [(len(suffix), each) for suffix, each in known if lower.endswith(suffix)]
    return max(fitting, key=lambda pair: pair[0])[1] if fitting else None


def is_weights(name: str) -> bool:
    """Whether a file's name says that it holds weights in a format that opens."""
    stem = name.rpartition("/")[2].lower()
    return isinstance(of_suffix(stem), Format) and not stem.startswith(TRAINING_STATE)


def openable() -> str:
    """What opens, in one clause for an error message."""
    listed = [f"{each.name} ({' '.join(each.suffixes)})" for each in FORMATS.values()]
    return f"what opens: {', '.join(listed)}, Hugging Face folders"

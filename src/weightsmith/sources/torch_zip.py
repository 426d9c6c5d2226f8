"""PyTorch checkpoints (.pt, .pth, .ckpt, .bin) without PyTorch, and without running anything that is in them.

Since PyTorch 1.6 they are zip files of uncompressed members, in a folder of any name: `data.pkl` describes the object,
`data/<key>` holds the elements of one storage each, `byteorder` says which byte comes first. Files of before are read
by `torch_legacy`; a TorchScript archive, which often has the same suffix, by `torchscript`.
"""

from weightsmith.sources.checkpoint import Checkpoint
from weightsmith.sources.file import FileLike, as_file
from weightsmith.sources.source import Source
from weightsmith.sources.torch_archive import TorchArchive
from weightsmith.sources.torch_legacy import open_legacy
from weightsmith.sources.torch_objects import KNOWN
from weightsmith.sources.torchscript import CONSTANTS, open_torchscript


def open_torch(what: FileLike) -> Source:
    """Open what `torch.save` wrote: a state dict, a checkpoint of a training, a tensor, lists of them.

    Names are those of the state dict; `checkpoint` has the rules by which it is found among optimizers, schedulers and
    numbers. Values stay in the file until they are read.

    Raises:
        SourceError: the file is missing, malformed or truncated, or names a class or function that is no plain data:
            a whole pickled module, above all. The message says how to save the weights alone.
    """
    file = as_file(what)
    if bytes(file.view(0, min(2, file.size))) != b"PK":
        return open_legacy(file)
    archive = TorchArchive(file)
    if CONSTANTS in archive:
        return open_torchscript(file)
    root = archive.unpickle("data.pkl", KNOWN.get)
    return Checkpoint(file.label, root, archive.tensors("data")).source("torch", [file])

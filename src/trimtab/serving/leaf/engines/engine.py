"""What the leaf asks of an engine, and which engine runs an artifact."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, NamedTuple, Protocol

from trimtab.errors import ArtifactError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping
    from pathlib import Path

    import numpy as np

    from trimtab.signature.model import Signature


class OutputArray(NamedTuple):
    """One output: its Open Inference Protocol datatype and its elements.

    The datatype stands beside the array because numpy has no bfloat16: BF16 is the uint16 of its bits. BYTES is an
    array of str or bytes objects.
    """

    datatype: str
    array: np.ndarray


class Engine(Protocol):
    """A loaded model. Safe to run from several threads at once."""

    platform: str
    """What `ModelMetadata` calls it, for example `onnxruntime_onnx`."""

    def run(self, arrays: Mapping[str, np.ndarray], wanted: Collection[str]) -> dict[str, OutputArray]:
        """Score one request.

        arrays: by the signature's input names; inputs that the request left to the artifact's default are absent.
        wanted: names of the outputs to give, in any order; empty for all. The answer is in the signature's order.
        Whatever the framework raises goes through: the caller knows which model and request it belongs to.
        """
        ...


def open_engine(path: Path, signature: Signature, *, threads: int) -> Engine:
    """Load the artifact with its framework's own loader, which may run code that is in the file.

    Call it only with a file that `trimtab.artifacts.read_signature` accepted, from a repository that you trust.
    threads: intra-operator threads of one run. ArtifactError when the framework refuses the file or no engine runs it.
    """
    format_ = signature.provenance.format
    target = _ENGINES.get(format_)
    if target is None:
        raise ArtifactError(
            where=str(path),
            expected=f"an artifact that an engine of the leaf runs ({', '.join(_ENGINES)})",
            got=f"the format {format_!r}",
        )
    module, _, name = target.partition(":")
    opener: Callable[..., Engine] = getattr(import_module(f"trimtab.serving.leaf.engines.{module}"), name)
    return opener(path, signature, threads=threads)


_ENGINES = {
    "torchscript": "torchscript:TorchScriptEngine",
    "pt2": "exported:ExportedProgramEngine",
    "onnx": "onnxruntime:OnnxRuntimeEngine",
}
"""Engine by the format that the signature's provenance names."""

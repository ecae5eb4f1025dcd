"""Run torch.export archives (`.pt2`): values go to the leaves of the program's own input tree, by path."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trimtab.errors import ArtifactError
from trimtab.serving.leaf.engines.structure import named_outputs
from trimtab.serving.leaf.engines.tensors import Arguments, bound_threads, import_torch, output_array
from trimtab.signature.path import Field, Key, format_path

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from pathlib import Path

    import numpy as np

    from trimtab.serving.leaf.engines.engine import OutputArray
    from trimtab.signature.model import Signature
    from trimtab.signature.path import Step


class ExportedProgramEngine:
    """One `torch.export.ExportedProgram` of an archive: the signature's default entry point."""

    platform = "pytorch_export"

    def __init__(self, path: Path, signature: Signature, *, threads: int) -> None:
        self._torch = torch = import_torch()
        bound_threads(torch, threads)
        self._threads = threads
        try:
            program = _load(torch, path, signature.default_entry_point)
            self._module = program.module()
            self._tree = program.call_spec.in_spec
            leaf_paths = _leaf_paths(program)
        except ArtifactError:
            raise
        except Exception as error:  # noqa: BLE001  # the loader unpickles parts of the file, which may raise anything
            raise ArtifactError("torch.export.load refuses it", where=str(path), got=str(error)) from None
        self._outputs = signature.outputs
        self._arguments = Arguments(signature.inputs)
        by_path = {it.call_path: it.name for it in signature.inputs}
        self._leaves = [by_path.get(leaf) for leaf in leaf_paths]
        unplaced = by_path.keys() - set(leaf_paths)
        if unplaced:
            raise ArtifactError(
                where=str(path), expected=f"inputs at {', '.join(leaf_paths)}", got=", ".join(sorted(unplaced))
            )

    def run(self, arrays: Mapping[str, np.ndarray], wanted: Collection[str]) -> dict[str, OutputArray]:
        """Score one request: see `Engine.run`."""
        torch = self._torch
        bound_threads(torch, self._threads)
        values = {**self._arguments.literals, **self._arguments.of(arrays)}
        leaves = [values.get(name) if name is not None else None for name in self._leaves]
        positional, named = torch.utils._pytree.tree_unflatten(leaves, self._tree)
        with torch.inference_mode():
            returned = self._module(*positional, **named)
        found = named_outputs(returned, self._outputs)
        return {name: output_array(torch, name, it) for name, it in found.items() if not wanted or name in wanted}


def _load(torch: Any, path: Path, name: str) -> Any:
    from torch.export.pt2_archive._package import load_pt2

    try:
        programs = load_pt2(str(path)).exported_programs
    except (KeyError, RuntimeError, ValueError):
        programs = {}  # the layout of torch 2.7 and older, which only torch.export.load reads
    return programs[name] if name in programs else torch.export.load(str(path))


def _leaf_paths(program: Any) -> list[str]:
    """The path of each leaf of the input tree, as the signature writes it, in the tree's order."""
    from torch.utils import _pytree

    spec = program.call_spec.in_spec
    structure = _pytree.tree_unflatten(list(range(spec.num_leaves)), spec)
    positional = structure[0]
    names = program.module_call_graph[0].signature.forward_arg_names or [f"args_{it}" for it in range(len(positional))]
    paths = []
    for (argument, key, *steps), _ in _pytree.tree_flatten_with_path(structure)[0]:
        root = str(key.key) if argument.idx else names[key.idx]
        paths.append(format_path(root, [_step(it) for it in steps]))
    return paths


def _step(key: Any) -> Step:
    if hasattr(key, "idx"):
        return Key(key.idx)
    if hasattr(key, "key"):
        return Key(key.key)
    return Field(key.name)

"""Export a plain module by an example call: to a program for `.pt2`, to TorchScript for every other suffix."""

from __future__ import annotations

import inspect
import logging
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from trimtab.errors import ArtifactError
from trimtab.torch.losses import warn_of_loss
from trimtab.torch.recording import differences, recorded, reduced

if TYPE_CHECKING:
    from collections.abc import Iterator


class Example(NamedTuple):
    """One call of a module."""

    positional: tuple[Any, ...]
    keywords: dict[str, Any]

    def map(self, function: Any) -> Example:
        """The call with `function` applied to each argument."""
        return Example(
            tuple(map(function, self.positional)), {key: function(value) for key, value in self.keywords.items()}
        )


def export(torch: Any, module: Any, path: str, example: Example, dynamic: str | None) -> tuple[Any, Example]:
    """The exported form of a plain module, and the example without the dict entries that the module does not read.

    path: decides by its suffix. dynamic: the name of the leading dimension that the examples share, or None.
    Raises ArtifactError with torch's own reason when torch cannot export the module.
    """
    if os.path.splitext(path)[1] == ".pt2":
        example = _as_read(torch, module, example)
        _warn_of_defaults(module, example)
        return _program(torch, module, example, dynamic), example
    try:
        return torch.jit.script(module), example
    except Exception as failure:  # noqa: BLE001  # the compiler has no family of errors
        reason = _first_line(failure)
    example = _as_read(torch, module, example)
    traced = _trace(torch, module, example, reason)
    warn_of_loss(
        f"torch.jit.script cannot compile {type(module).__name__} ({reason}), so the file is a trace: it does what the "
        "example did, whatever the values and flags of a request. Save it as .pt2 for checks of that."
    )
    return traced, example


def _as_read(torch: Any, module: Any, example: Example) -> Example:
    """The example without the entries of dicts that the module does not read, if it then gives the same."""
    notes = example.map(recorded)
    try:
        full = _call(torch, module, notes)
    except Exception:  # noqa: BLE001  # a module may refuse a dict that is none of Python's own
        return example
    arguments = {**_by_argument(module, notes), **notes.keywords}  # those that `**kwargs` takes have names of their own
    found = [it for name, value in arguments.items() for it in differences(value, name)]
    asked = [place for place, absent in found if absent]
    if asked:
        warn_of_loss(
            f"forward asks for {', '.join(asked)}, which the example does not have: the file is fixed to its absence."
        )
    unread = [place for place, absent in found if not absent]
    if not unread:
        return example
    less = notes.map(reduced)
    try:
        same = _same(torch, full, _call(torch, module, less))
    except Exception:  # noqa: BLE001  # the module needs what it does not read, for example to compare it with nothing
        same = False
    if not same:
        return example
    warn_of_loss(f"forward does not read {', '.join(unread)}: neither file nor signature has such an input.")
    return less


def _call(torch: Any, module: Any, example: Example) -> Any:
    with torch.inference_mode(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return module(*example.positional, **example.keywords)


def _same(torch: Any, one: Any, other: Any) -> bool:
    from torch.utils import _pytree

    ours, our_tree = _pytree.tree_flatten(one)
    theirs, their_tree = _pytree.tree_flatten(other)
    return our_tree == their_tree and all(
        torch.equal(torch.nan_to_num(a), torch.nan_to_num(b)) if isinstance(a, torch.Tensor) else a == b
        for a, b in zip(ours, theirs, strict=True)
    )


def _by_argument(module: Any, example: Example) -> dict[str, Any]:
    """The arguments by name; those that `*args` takes as `args[0]`, …"""
    try:
        bound = inspect.signature(module.forward).bind(*example.positional, **example.keywords)
    except TypeError as failure:
        raise ArtifactError(where="example_inputs", expected="the arguments of forward", got=str(failure)) from None
    return dict(bound.arguments)


def _warn_of_defaults(module: Any, example: Example) -> None:
    """torch.export bakes in what the example does not pass: the argument is gone from the program."""
    given = _by_argument(module, example)
    left = [
        f"{parameter.name}={parameter.default!r}"
        for parameter in inspect.signature(module.forward).parameters.values()
        if parameter.default is not parameter.empty and parameter.name not in given
    ]
    if left:
        warn_of_loss(
            f"torch.export drops arguments that the example does not pass: the file always uses {', '.join(left)}. "
            "Pass them in example_inputs or example_kwargs to keep them."
        )


def _program(torch: Any, module: Any, example: Example, dynamic: str | None) -> Any:
    size = _leading_size(torch, example) if dynamic else None
    attempts: list[Any] = [None]  # the sizes of the example; `save` warns of those
    if dynamic and size is not None:
        named = [torch.export.Dim(dynamic)] if dynamic.isidentifier() else []
        attempts = [*named, torch.export.Dim.AUTO, None]
    reason = ""
    for dimension in attempts:
        shapes = None if dimension is None or size is None else _shapes(torch, module, example, size, dimension)
        try:
            with _quiet():
                return torch.export.export(module, example.positional, example.keywords, dynamic_shapes=shapes)
        except Exception as failure:  # noqa: BLE001  # torch's own family, and whatever the module raises while it is traced
            reason = _first_line(failure)
    raise ArtifactError(
        where="model",
        expected="a module that torch.export can trace",
        got=reason,
        hint="Try torch.export.export(model, example_inputs) by itself: torch explains there what it cannot trace.",
    )


def _leading_size(torch: Any, example: Example) -> int | None:
    from torch.utils import _pytree

    for value in _pytree.tree_leaves((example.positional, example.keywords)):
        if isinstance(value, torch.Tensor) and value.dim():
            return int(value.shape[0])
    return None


def _shapes(torch: Any, module: Any, example: Example, size: int, dimension: Any) -> dict[str, Any]:
    """dynamic_shapes: the leading dimension of every tensor that has the shared size, under the argument's name."""
    from torch.utils import _pytree

    def shape(value: Any) -> Any:
        if isinstance(value, torch.Tensor) and value.dim() and value.shape[0] == size:
            return {0: dimension}
        return None

    return {name: _pytree.tree_map(shape, value) for name, value in _by_argument(module, example).items()}


@contextmanager
def _quiet() -> Iterator[None]:
    """Without torch's log of failed attempts, of which the last one is told as an error."""
    before = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        yield
    finally:
        logging.disable(before)


def _trace(torch: Any, module: Any, example: Example, reason: str) -> Any:
    options = {"strict": False, "check_trace": False}
    try:
        if example.keywords:
            return torch.jit.trace(module, example_kwarg_inputs=_by_argument(module, example), **options)
        return torch.jit.trace(module, example.positional, **options)
    except Exception as failure:  # noqa: BLE001  # the tracer has no family of errors, and the module may raise any
        raise ArtifactError(
            where="model",
            expected="a module that torch.jit.script or torch.jit.trace takes",
            got=f"{reason}; and when traced: {_first_line(failure)}",
            hint="Save it as .pt2: torch.export takes arguments that are no tensors, and Python that is not typed.",
        ) from None


def _first_line(failure: Exception) -> str:
    lines = [line.strip() for line in str(failure).splitlines() if line.strip()]
    return f"{type(failure).__name__}: {lines[0][:200]}" if lines else type(failure).__name__

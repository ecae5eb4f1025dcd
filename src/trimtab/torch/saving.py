"""Save a scripted, traced or exported module with its signature inside."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from trimtab.artifacts import embed_signature, read_signature
from trimtab.errors import ArtifactError, SignatureError
from trimtab.signature.model import Input, Learned, Output, Overload, Presence, Signature
from trimtab.signature.naming import Leaf, input_names
from trimtab.signature.path import Key, format_path, parse_path
from trimtab.signature.types import Mapping, Tensor
from trimtab.source.replace import replacing
from trimtab.torch.describing import describe, import_torch, one_tuple_expected
from trimtab.torch.exporting import Example, export
from trimtab.torch.losses import warn_of_loss

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from collections.abc import Mapping as AnyMapping

    from trimtab.signature.types import Type


def save(
    model: Any,
    path: str | os.PathLike[str],
    signature: Signature | None = None,
    *,
    example_inputs: Sequence[Any] | None = None,
    example_kwargs: AnyMapping[str, Any] | None = None,
    output_names: Sequence[str] | None = None,
    dimension_names: AnyMapping[str, str] | None = None,
    dynamic: str | None = "batch",
) -> Signature:
    """Save a model so that the file declares its signature; returns that signature.

    model: a plain torch.nn.Module, exported here by its `example_inputs`: with torch.export where `path` ends in
    `.pt2`, to TorchScript (scripted, or traced where it cannot be) otherwise. Or what was exported before: a
    torch.jit.ScriptModule (scripted or traced), saved by torch.jit.save, or a torch.export.ExportedProgram, saved by
    torch.export.save.
    signature: what to declare. When None, it is described from `example_inputs` (see `describe`), which a scripted
    module with a `Dict[str, Tensor]` argument needs, or else derived from what torch wrote.
    output_names: names of the returned values in order, in place of `output_0`, ….
    dimension_names: new names for the symbols of an exported program's shapes, `{"s10": "batch"}`. When None and all
    tensor inputs share one leading symbol, it is called `dynamic`.
    dynamic: the symbol for the leading dimension that the examples share, or None to keep every size.

        trimtab.torch.save(model, "ranker.pt2", example_inputs=(features,), output_names=["score"])
        trimtab.torch.save(torch.jit.script(model), "ranker.pt", example_inputs=(features,), output_names=["score"])
        trimtab.torch.save(torch.export.export(model, (x,), dynamic_shapes=shapes), "ranker.pt2")

    The entries of a dict of features that a module does not read, in the example call or in its compiled code, are
    left out of the signature, with a warning that names them; who walks over a dict, copies or counts it reads all.

    The file appears complete or not at all. What the signature says is checked against what torch wrote
    (ContradictionError). LossyExportWarning where the format renames arguments, forgets that they are keyword-only,
    bakes in defaults, values or sizes, or does not say which entries a dict argument needs.
    """
    torch = import_torch()
    exported_here = _is_plain(torch, model)
    if exported_here:
        model, example_inputs, example_kwargs = _exported(
            torch, model, os.fspath(path), _example(example_inputs, example_kwargs), dynamic
        )
    writer = _writer(torch, model)
    _warn_of_keyword_only(model)
    described = False
    if signature is None and example_inputs is not None and not _is_exported(torch, model):
        described = True
        signature = describe(model, example_inputs, example_kwargs, dynamic=dynamic, output_names=output_names)
    with replacing(os.fspath(path)) as temporary:
        writer(temporary)
        derived = read_signature(temporary)
        renamed = {} if _is_exported(torch, model) else _renamed_arguments(model, derived)
        if _is_exported(torch, model):
            _warn_of_what_is_fixed(derived, exported_here and dynamic is not None)
        if signature is None:
            signature = _with_names(derived, output_names, _dimension_names(derived, dimension_names, dynamic))
            _warn_of_open_inputs(signature, path)
        else:
            signature = _completed(_as_read(signature, derived, renamed) if described else signature, derived)
        # Appended rather than given to torch as an extra file: it then lies at the end of the archive, where one
        # range request reads it together with the directory.
        embed_signature(temporary, _at_saved_names(signature, renamed))
        return read_signature(temporary)


def _is_plain(torch: Any, model: Any) -> bool:
    return isinstance(model, torch.nn.Module) and not isinstance(model, torch.jit.ScriptModule)


def _example(positional: Sequence[Any] | None, keywords: AnyMapping[str, Any] | None) -> Example:
    if positional is None and keywords is None:
        raise ArtifactError(
            where="example_inputs",
            expected="the arguments of one call, by which to export a plain module",
            got="none",
            hint="Export it first, or pass example_inputs=(argument, …) of several rows.",
        )
    if not isinstance(positional, tuple | list | None):
        raise one_tuple_expected(positional)
    return Example(tuple(positional or ()), dict(keywords or {}))


def _exported(
    torch: Any, model: Any, path: str, example: Example, dynamic: str | None
) -> tuple[Any, Sequence[Any], AnyMapping[str, Any]]:
    exported, example = export(torch, model, path, example, dynamic)
    return exported, example.positional, example.keywords


def _is_exported(torch: Any, model: Any) -> bool:
    return isinstance(model, torch.export.ExportedProgram)


def _writer(torch: Any, model: Any) -> Callable[[str], None]:
    if _is_exported(torch, model):
        return lambda path: torch.export.save(model, path)
    if isinstance(model, torch.jit.ScriptModule | torch.jit.ScriptFunction):
        _refuse_unloadable_names(model)
        return lambda path: torch.jit.save(model, path)
    raise ArtifactError(
        where="model",
        expected="a torch.nn.Module, a torch.jit.ScriptModule or a torch.export.ExportedProgram",
        got=type(model).__name__,
        hint="A plain torch.nn.Module is exported here, by its example_inputs.",
    )


def _arguments(model: Any) -> list[Any]:
    """The arguments of `forward`, or of a scripted function, as the compiler has them."""
    forward = getattr(model, "forward", None)
    schema = getattr(forward, "schema", None) or getattr(model, "schema", None)
    arguments = list(schema.arguments) if schema is not None else []
    return [argument for argument in arguments if argument.name != "self"]


def _refuse_unloadable_names(model: Any) -> None:
    for argument in _arguments(model):
        if not argument.name.isascii():
            raise ArtifactError(
                where=f"argument {argument.name!r}",
                expected="a name in ASCII",
                got="a name that torch.jit.save writes and torch.jit.load cannot read",
                hint="Rename the argument.",
            )


def _warn_of_keyword_only(model: Any) -> None:
    names = [argument.name for argument in _arguments(model) if argument.kwarg_only]
    if names:
        warn_of_loss(
            f"TorchScript files forget that {', '.join(names)} must be given by keyword; they become positional."
        )


def _renamed_arguments(model: Any, derived: Signature) -> dict[str, str]:
    """Arguments that torch.jit.save renamed (`fork` becomes `fork0`), by the name that the module has for them."""
    before = [argument.name for argument in _arguments(model)]
    after = list(dict.fromkeys(_split(value.call_path)[0] for value in derived.inputs))
    if len(before) != len(after):
        return {}
    renamed = {old: new for old, new in zip(before, after, strict=True) if old != new}
    if renamed:
        pairs = ", ".join(f"{old} to {new}" for old, new in renamed.items())
        warn_of_loss(
            f"torch.jit.save renames arguments that collide with names of its own: {pairs}. Requests keep your names."
        )
    return renamed


def _warn_of_open_inputs(signature: Signature, path: str | os.PathLike[str]) -> None:
    for value in signature.inputs:
        if isinstance(value.type, Mapping) and not value.features:
            warn_of_loss(
                f"{os.fspath(path)} does not say which entries {value.name!r} ({value.type}) needs, so none of them "
                "can be trimmed. Pass example_inputs or a signature."
            )


def _warn_of_what_is_fixed(program: Signature, sizes: bool) -> None:
    """What a program bakes in: arguments that are no tensors, and sizes that were to vary (`sizes`)."""
    baked = [
        f"{value.call_path} = {value.default.to_python()!r}"
        for value in program.inputs
        if value.default is not None and value.default.value is not None
    ]
    if baked:
        warn_of_loss(f"torch.export bakes in arguments that are no tensors: {', '.join(baked)}. Others are refused.")
    fixed = [
        value.name
        for value in program.inputs
        if isinstance(value.type, Tensor) and value.type.shape and isinstance(value.type.shape[0], int)
    ]
    if sizes and fixed:
        warn_of_loss(
            f"The leading size of {', '.join(fixed)} is fixed to that of the example. Where it should vary, let the "
            "example have several rows, and as many in every input."
        )


def _as_read(described: Signature, derived: Signature, renamed: dict[str, str]) -> Signature:
    """The described signature with those entries of dicts that the compiled code reads, where the code settles that."""
    original = {new: old for old, new in renamed.items()}
    read = {
        holder: [Leaf(holder, (Key(feature.name),)).path for feature in value.features]
        for value in derived.inputs
        for holder in (original.get(value.call_path, value.call_path),)
        if value.features and value.learned.get("features") is not Learned.EXAMPLE
    }
    (overload,) = described.entry_point().overloads
    unread = [it.call_path for it in overload.inputs if it.call_path not in read.get(_holder(it), (it.call_path,))]
    if unread:
        warn_of_loss(f"forward does not read {', '.join(unread)}, so the signature has no such input.")
    inputs = [it for it in overload.inputs if it.call_path not in unread]
    present = {it.call_path for it in inputs}
    # Read in another branch than the one that the example took.
    more = [path for paths in read.values() for path in paths if path not in present]
    leaves = [Leaf(*parse_path(path)) for path in (*(it.call_path for it in inputs), *more)]
    names = input_names(leaves)
    inputs += [
        Input(name=name, type=Tensor(), path=path) for name, path in zip(names[len(inputs) :], more, strict=True)
    ]
    return _with_default_entry_point(described, (replace(overload, inputs=tuple(inputs)),))


def _holder(value: Input) -> str:
    """The path of the dict that an entry lies in."""
    root, steps = _split(value.call_path)
    return format_path(root, steps[:-1])


def _completed(signature: Signature, derived: Signature) -> Signature:
    """The signature with what examples do not show: arguments left to their defaults, and other methods."""
    graph = {each.name: each for each in derived.entry_points}
    entry_points = tuple(
        replace(each, overloads=tuple(_with_defaults(it, graph[each.name].overloads[0]) for it in each.overloads))
        if each.name in graph
        else each
        for each in signature.entry_points
    )
    others = tuple(each for each in derived.entry_points if each.name not in {it.name for it in entry_points})
    return replace(signature, entry_points=(*entry_points, *others))


def _with_defaults(declared: Overload, derived: Overload) -> Overload:
    roots = {_split(value.call_path)[0] for value in declared.inputs}
    omitted = [
        value
        for value in derived.inputs
        if value.presence is not Presence.REQUIRED and _split(value.call_path)[0] not in roots
    ]
    defaults = {value.call_path: value for value in derived.inputs if value.presence is Presence.DEFAULT}
    inputs = tuple(_with_default(value, defaults.get(value.call_path)) for value in declared.inputs)
    return replace(declared, inputs=(*inputs, *omitted))


def _with_default(declared: Input, derived: Input | None) -> Input:
    if derived is None or declared.default is not None:
        return declared
    return replace(declared, presence=Presence.DEFAULT, default=derived.default, nullable=derived.nullable)


def _at_saved_names(signature: Signature, renamed: dict[str, str]) -> Signature:
    """The signature with paths that begin as the artifact has it, under the names that requests use."""
    if not renamed:
        return signature
    original = {new: old for old, new in renamed.items()}

    def moved(value: Input) -> Input:
        root, steps = _split(value.call_path)
        name = value.name if steps else original.get(value.name, value.name)
        path = format_path(renamed.get(root, root), steps)
        return replace(value, name=name, path=path if path != name else None)

    default = signature.entry_point()
    overloads = tuple(replace(it, inputs=tuple(map(moved, it.inputs))) for it in default.overloads)
    return _with_default_entry_point(signature, overloads)


def _with_names(
    signature: Signature, output_names: Sequence[str] | None, dimension_names: AnyMapping[str, str]
) -> Signature:
    default = signature.entry_point()
    (overload,) = default.overloads
    outputs = overload.outputs
    if output_names is not None:
        if len(output_names) != len(outputs):
            raise SignatureError(
                where="output_names",
                expected=f"{len(outputs)} names, for {', '.join(it.name for it in outputs)}",
                got=f"{len(output_names)}: {', '.join(output_names)}",
            )
        outputs = tuple(
            replace(it, name=name, path=it.return_path) for it, name in zip(outputs, output_names, strict=True)
        )
    return _with_default_entry_point(
        signature, (_with_dimensions(replace(overload, outputs=outputs), dimension_names),)
    )


def _with_default_entry_point(signature: Signature, overloads: tuple[Overload, ...]) -> Signature:
    default = signature.entry_point()
    entry_points = tuple(replace(it, overloads=overloads) if it is default else it for it in signature.entry_points)
    return replace(signature, entry_points=entry_points)


def _dimension_names(
    derived: Signature, given: AnyMapping[str, str] | None, dynamic: str | None
) -> AnyMapping[str, str]:
    if given is not None:
        return given
    leading = {value.type.shape[0] for value in derived.inputs if isinstance(value.type, Tensor) and value.type.shape}
    only = leading.pop() if len(leading) == 1 else None
    return {only: dynamic} if dynamic and isinstance(only, str) and only.isidentifier() else {}


def _with_dimensions(overload: Overload, names: AnyMapping[str, str]) -> Overload:
    if not names:
        return overload

    def renamed(text: str) -> str:
        return re.sub(r"[A-Za-z_]\w*", lambda match: names.get(match.group(), match.group()), text)

    def in_shape(type_: Type) -> Type:
        if not isinstance(type_, Tensor) or type_.shape is None:
            return type_
        return Tensor(type_.dtype, tuple(renamed(dim) if isinstance(dim, str) else dim for dim in type_.shape))

    def in_value(value: Any) -> Any:
        return replace(value, type=in_shape(value.type))

    inputs: tuple[Input, ...] = tuple(map(in_value, overload.inputs))
    outputs: tuple[Output, ...] = tuple(map(in_value, overload.outputs))
    dimensions = {renamed(expression): limits for expression, limits in overload.dimensions.items()}
    return replace(overload, inputs=inputs, outputs=outputs, dimensions=dimensions)


def _split(path: str) -> tuple[str, tuple[Any, ...]]:
    try:
        return parse_path(path)
    except SignatureError:
        return path, ()

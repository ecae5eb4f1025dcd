"""The names that TensorFlow gives and takes: sanitized keywords, normalized arguments, and which inputs it refuses."""

from __future__ import annotations

import keyword
import re
from typing import TYPE_CHECKING

from trimtab.errors import ArtifactError
from trimtab.savedmodel.model import INIT_OPS

if TYPE_CHECKING:
    from collections.abc import Iterable

_NODE_NAME = re.compile(r"[A-Za-z0-9.](?:[A-Za-z0-9_.\\/>-]*[A-Za-z0-9_.\\>-])?")
_NOT_IN_NODE = re.compile(r"[^A-Za-z0-9_.\\-]")
_NOT_IN_ARGUMENT = re.compile(r"[^a-z0-9]")


def keyword_of(name: str) -> str:
    """The keyword under which TF2 takes an input: its name as a Python parameter.

    Inputs are bound to a wrapper's arguments in the order of these keywords.
    Source: sanitize_arg_name in tensorflow/core/function/polymorphism/function_type.py.
    """
    swapped = "".join(each if each.isalnum() else "_" for each in name)
    return swapped if swapped[:1].isalpha() else f"arg_{swapped}"


def argument_of(name: str, taken: Iterable[str]) -> str:
    """The name of a FunctionDef's argument: lower case, from the first letter on, with a number where it is taken.

    Source: NodeNameMapping in tensorflow/core/framework/graph_to_functiondef.cc.
    """
    stem = re.sub(r"^[^a-z]+", "", _NOT_IN_ARGUMENT.sub("_", name.lower())) or "unknown"
    taken, found, number = set(taken), stem, 0
    while found in taken:
        found, number = f"{stem}_{number}", number + 1
    return found


def node_of(key: str, name: str) -> str:
    """What the placeholder of an input is called in the graph, before it is made unique."""
    stem = _NOT_IN_NODE.sub("_", f"{key}_{name}")
    return stem if re.match(r"[A-Za-z0-9.]", stem) else f"sig{stem}"


def check_inputs(where: str, names: Iterable[str]) -> None:
    """ArtifactError for input names that TensorFlow refuses, or cannot tell apart."""
    seen: dict[str, str] = {}
    for name in names:
        parameter = keyword_of(name)
        if (
            not _NODE_NAME.fullmatch(name)
            or not parameter.isidentifier()
            or keyword.iskeyword(parameter)
            or name == "self"
        ):
            raise ArtifactError(
                where=where,
                expected="an input name of letters, digits and _ . - / that begins with a letter or digit"
                " and is no word of the Python language",
                got=repr(name),
                hint="TensorFlow makes a node and a Python parameter of it, and refuses other names. Rename it.",
            )
        for form in (f"parameter {parameter}", f"node {name.lower()}"):
            if seen.setdefault(form, name) != name:
                raise ArtifactError(
                    "two inputs whose names TensorFlow cannot tell apart",
                    where=where,
                    got=f"{seen[form]!r} and {name!r}",
                    hint="It compares them without case, and with _ for every sign that is no letter or digit.",
                )


def check_text(where: str, text: str) -> None:
    """ArtifactError for a text that a proto cannot hold: UTF-8 has no code for a half of a surrogate pair."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ArtifactError(where=where, expected="text in UTF-8", got=repr(text)) from None


def check_key(where: str, key: str, known: Iterable[str]) -> None:
    """ArtifactError for a signature's key that is taken, reserved or empty."""
    check_text(where, key)
    if key in INIT_OPS or not key:
        raise ArtifactError(
            where=where, expected="a key that TensorFlow does not reserve for itself", got=repr(key) if key else "none"
        )
    if key in set(known):
        raise ArtifactError(
            "a signature of this key exists",
            where=where,
            got=repr(key),
            hint="Choose another key, or remove or rename that signature first.",
        )

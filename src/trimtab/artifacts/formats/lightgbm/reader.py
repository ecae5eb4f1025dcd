"""Read the signature of a LightGBM model without lightgbm, and keep a signature document in its header.

The file names its features (LightGBM has put `_` for spaces in them) and says what training saw of each: a range, or
category codes. It does not say in which dtype a request carries them. The document is a header line of its own, which
LightGBM's loader skips; a model that LightGBM saves again has lost it.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any

from trimtab.artifacts.formats.columns import are_categories, check_names
from trimtab.artifacts.formats.lightgbm.model_text import Footer, Header, read_footer, read_header, split_features
from trimtab.artifacts.limits import MAX_VALUES, check_count
from trimtab.errors import ArtifactError
from trimtab.signature.document import MAX_DOCUMENT_BYTES
from trimtab.signature.dtypes import DType
from trimtab.signature.model import (
    Constraints,
    EntryPoint,
    Input,
    Learned,
    Live,
    Output,
    Overload,
    Provenance,
    Range,
    Signature,
)
from trimtab.signature.path import Key, format_path
from trimtab.signature.types import Tensor

if TYPE_CHECKING:
    from trimtab.source.bytes import ByteSource

name = "lightgbm"

ENTRY_POINT = "predict"
DOCUMENT_KEY = "module_info"
_DATA = "data"
_ROWS = "rows"


def match(source: ByteSource) -> bool:
    """Whether the first lines are those of a LightGBM model."""
    head = source.head(64).replace(b"\r\n", b"\n")
    return head.startswith((b"tree\nversion=", b"tree\nnum_class="))


def derive(source: ByteSource) -> Signature:
    """One entry point, `predict`, with one input for each feature."""
    header = read_header(source)
    footer = read_footer(source, header)
    classes = _number(header, "num_class", source)
    objective = _text(header, "objective", source)
    notes = [f"model text {_text(header, 'version', source) or 'without a version'}"]
    notes.append(f"objective {objective}" if objective else "no objective in the file: scores are as the trees add up")
    inputs = _columns(source, header, footer, notes)
    score = Tensor(DType.FLOAT64, (_ROWS, classes) if classes > 1 else (_ROWS,))
    overload = Overload(inputs=inputs, outputs=(Output(name="score", type=score, path="", doc=objective),))
    return Signature(
        entry_points=(EntryPoint(name=ENTRY_POINT, overloads=(overload,)),),
        default_entry_point=ENTRY_POINT,
        provenance=Provenance(format=name, producer=name, learned=Learned.DERIVED, notes=tuple(notes)),
    )


def declared(source: ByteSource) -> bytes | None:
    """The header line `module_info=`."""
    line = read_header(source).values.get(DOCUMENT_KEY)
    if line is None:
        return None
    if len(line) > MAX_DOCUMENT_BYTES:
        raise ArtifactError(
            where=f"{source.name}: {DOCUMENT_KEY}", expected=f"at most {MAX_DOCUMENT_BYTES} bytes", got=str(len(line))
        )
    return re.sub(rb"\\(u003d|.)", lambda escape: b"=" if escape[1] == b"u003d" else escape[0], line)


def embed(path: str, document: bytes) -> None:
    """Write the document as the header's last line, in place of the one before; every other byte stays as it is.

    Trees are found by their sizes, which do not change. The file is copied and replaced in one step.
    """
    from trimtab.artifacts.formats.rewriting import rewrite  # reading does not need it
    from trimtab.source.bytes import LocalFile

    with LocalFile(path) as source:
        header = read_header(source)
        size = source.size
    start, stop = header.lines.get(DOCUMENT_KEY, (header.end, header.end))
    # LightGBM refuses a line with a second "=", which in JSON can only stand inside of a string.
    line = DOCUMENT_KEY.encode() + b"=" + document.replace(b"=", rb"\u003d") + b"\n"
    rewrite(path, [(0, start), (stop, header.end), line, (header.end, size)])


def _columns(source: ByteSource, header: Header, footer: Footer, notes: list[str]) -> tuple[Input, ...]:
    names = _split(header, "feature_names", source)
    infos = _split(header, "feature_infos", source)
    count = _number(header, "max_feature_idx", source) + 1
    for key, values in (("feature_names", names), ("feature_infos", infos)):
        if len(values) != count:
            raise ArtifactError(
                "the model contradicts itself",
                where=f"{source.name}: {key}",
                expected=f"{count} of them (max_feature_idx + 1)",
                got=str(len(values)),
                hint="LightGBM cannot load such a file. Save the model again.",
            )
    check_names(names, f"{source.name}: feature_names")
    seen = [
        _Seen(info, f"{source.name}: feature_infos of {feature!r}") for feature, info in zip(names, infos, strict=True)
    ]
    categories = _pandas_categories(footer, seen, notes)
    codes_are_values = not footer.pandas_categorical
    used = split_features(source, header)
    inputs = []
    for index, (feature, each) in enumerate(zip(names, seen, strict=True)):
        constraints = each.constraints(categories.get(index), codes_are_values)
        learned = {"constraints": Learned.EXAMPLE} if constraints is not None else {}
        if index in categories:
            learned["type"] = Learned.EXAMPLE  # the model takes codes as well
        inputs.append(
            Input(
                name=feature,
                type=Tensor(_dtype(categories[index]) if index in categories else None, (_ROWS,)),
                path=format_path(_DATA, (Key(feature),)),
                nullable=footer.parameters.get("use_missing") == "1",
                constraints=constraints,
                live=Live.UNKNOWN if used is None else Live.YES if index in used else Live.NO,
                learned=learned,
            )
        )
    return tuple(inputs)


class _Seen:
    """What training saw of a feature: an entry of `feature_infos`.

    `[0:8]` is a range, `1:0:2` are category codes (with -1 for what has none), `none` is a single value.
    """

    def __init__(self, info: str, where: str) -> None:
        self._range: Range | None = None
        self.codes: tuple[int, ...] | None = None
        try:
            if info.startswith("[") and info.endswith("]"):
                low, high = info[1:-1].split(":")
                self._range = Range(minimum=_bound(low), maximum=_bound(high))
            elif info != "none":
                check_count(info.count(":"), MAX_VALUES, "category codes", where)
                self.codes = tuple(sorted(code for each in info.split(":") if (code := _code(each)) >= 0))
        except ValueError:
            raise ArtifactError(
                where=where, expected="[minimum:maximum], category codes between colons, or none", got=repr(info)[:80]
            ) from None

    def constraints(self, categories: tuple[Any, ...] | None, codes_are_values: bool) -> Constraints | None:
        """The range or the categories: a data frame's in place of their codes, which are no values then."""
        if categories is not None:
            return Constraints(categories=categories)
        if self.codes is not None:
            return Constraints(categories=self.codes) if codes_are_values else None
        return Constraints(range=self._range) if self._range is not None else None


def _code(text: str) -> int:
    if len(text) > 11:
        raise ValueError("more than 32 bits")
    return int(text)


def _bound(text: str) -> int | float | None:
    """A limit: whole where it is written so, and a float holds it; None where it is none."""
    number = float(text)
    if not math.isfinite(number):
        return None
    return int(number) if text.lstrip("-").isdigit() and abs(number) < 1 << 53 else number


def _pandas_categories(footer: Footer, seen: list[_Seen], notes: list[str]) -> dict[int, tuple[Any, ...]]:
    """The categories of data frame columns, by the index of the feature, where the file says whose they are.

    The lists have no names: they are those of the frame's category columns in order. Ordered ones among these count as
    numbers, and columns of codes can be categorical without being in a list, so that the lists are given to the
    categorical features only where there are as many, and every code has a category.
    """
    lists = footer.pandas_categorical
    if not lists:
        return {}
    text = footer.parameters.get("categorical_feature", "")
    if re.fullmatch(r"\d{1,9}(,\d{1,9})*", text):
        indices = sorted({int(each) for each in text.split(",")})
    else:
        indices = [index for index, each in enumerate(seen) if each.codes is not None]
    fitting = len(indices) == len(lists) and all(
        index < len(seen) and _covers(values, seen[index]) for index, values in zip(indices, lists, strict=True)
    )
    if not fitting:
        notes.append(
            f"pandas_categorical has {len(lists)} lists of categories, which cannot be matched with the "
            f"{len(indices)} categorical features"
        )
        return {}
    check_count(sum(map(len, lists)), MAX_VALUES, "categories", "pandas_categorical")
    return {index: tuple(values) for index, values in zip(indices, lists, strict=True)}


def _covers(values: list[Any], seen: _Seen) -> bool:
    return are_categories(values) and max(seen.codes or (-1,)) < len(values)


def _dtype(categories: tuple[Any, ...]) -> DType | None:
    """The dtype of a data frame's categories; None for a mixture."""
    kinds = {type(each) for each in categories}
    if len(kinds) != 1:
        return None
    return {str: DType.STRING, bool: DType.BOOL, int: DType.INT64, float: DType.FLOAT64}.get(kinds.pop())


def _split(header: Header, key: str, source: ByteSource) -> list[str]:
    """The words of a line. LightGBM takes several spaces for one."""
    line = _text(header, key, source)
    check_count(line.count(" "), MAX_VALUES, f"entries of {key}", f"{source.name}: {key}")
    return [each for each in line.split(" ") if each]


def _number(header: Header, key: str, source: ByteSource) -> int:
    text = _text(header, key, source)
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise ArtifactError(
            where=f"{source.name}: {key}",
            expected="a line with a number",
            got=repr(text[:80]) if key in header.values else "none",
            hint="LightGBM cannot load such a file. Is it complete?",
        )
    return int(text)


def _text(header: Header, key: str, source: ByteSource) -> str:
    try:
        return header.values.get(key, b"").decode()
    except UnicodeDecodeError as failure:
        raise ArtifactError(where=f"{source.name}: {key}", expected="UTF-8", got=str(failure)) from None

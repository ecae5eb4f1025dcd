"""The rules of the gate, as declarations: what must hold, who breaks by it and how they notice, and what to do.

Which sets a rule belongs to is its category here; what it looks for is the logic of `trimtab.stability.diff` and the
modules beside it. Sources: the habits of buf's breaking-change rules (names, categories), and the invariant that a
model's signature never changes under its name.
"""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct

from trimtab.findings import Level
from trimtab.stability.category import FEED, FREEZE, SCHEMA, WIRE, Category


class Notice(StrEnum):
    """How those who break by a change notice it."""

    ERROR = "an error at once"
    """The request or the deployment is refused: loud, and soon."""
    SILENT = "silently wrong scores"
    """Everything answers, and answers wrongly: found by whoever looks at the metrics, if at all."""
    NOTHING = "nothing breaks"
    """Nobody breaks, and the contract is another one all the same."""


class StabilityRule(Struct, frozen=True):
    """A rule's declaration.

    category: the laxest category that includes it. law: what must hold. breaks: who breaks otherwise, as a sentence.
    remedy: what to do instead of forking the model, as a sentence; empty where there is nothing but a fork.
    """

    name: str
    category: Category
    law: str
    breaks: str
    notice: Notice
    remedy: str = ""
    level: Level = Level.ERROR

    @property
    def page(self) -> str:
        """The rule's page of the documentation."""
        parts = [
            self.law,
            f"Categories: {', '.join(each.value for each in Category if each.includes(self.category))}.",
            f"Who breaks: {self.breaks} How they notice: {self.notice.value}.",
            f"Instead: {self.remedy or FORK}",
        ]
        return "\n\n".join(parts)


FORK = "Publish it under a new name: trimtab fork REPOSITORY MODEL NEW_NAME."

_ERROR, _SILENT, _NOTHING = Notice.ERROR, Notice.SILENT, Notice.NOTHING
_CALLERS_LACK = (
    "Callers of the old version do not send it, and roots that trim by the old allowlist drop it: the leaf refuses."
)
_OLD_FORM = "Callers still send the old form: the leaf refuses it, or reads it wrongly where it casts."

_ENTRY_POINTS = (
    StabilityRule(
        "ENTRY_POINT_NO_DELETE",
        FEED,
        "No entry point is taken away.",
        "Requests that name it are refused.",
        _ERROR,
        "Keep the old entry point beside the new one.",
    ),
    StabilityRule(
        "ENTRY_POINT_NO_ADD",
        FREEZE,
        "No entry point is added.",
        "Nobody; yet the allowlist of the model grows by the inputs of the new entry point.",
        _NOTHING,
    ),
    StabilityRule(
        "ENTRY_POINT_SAME_DEFAULT",
        FEED,
        "Requests that name no entry point go where they went.",
        "They are answered by another entry point: it refuses them, or means something else.",
        _SILENT,
        "Make the old entry point the default again.",
    ),
    StabilityRule(
        "OVERLOAD_NO_DELETE",
        FEED,
        "No overload is taken away.",
        "Calls that only it took are refused; others may be answered by another overload.",
        _ERROR,
        "Trace the function for the old call too before saving.",
    ),
    StabilityRule(
        "OVERLOAD_NO_ADD",
        FREEZE,
        "No overload is added.",
        "Nobody, as overloads are tried in order and the old ones come first.",
        _NOTHING,
    ),
    StabilityRule(
        "OVERLOAD_SAME_ORDER",
        SCHEMA,
        "Overloads are tried in the same order.",
        "A call that two of them take is answered by another one than before.",
        _SILENT,
        "Trace the calls in the old order before saving.",
    ),
)


def _of_values(kind: str, noun: str) -> tuple[StabilityRule, ...]:
    """The rules that inputs and the features inside them have in common."""
    return (
        StabilityRule(
            f"{kind}_NO_ADD_REQUIRED",
            FEED,
            f"No {noun} that every request must carry is added.",
            _CALLERS_LACK,
            _ERROR,
            f"Give the {noun} a default.",
        ),
        StabilityRule(
            f"{kind}_NO_ADD_OPTIONAL",
            FREEZE,
            f"No {noun} is added, even one that requests may leave out.",
            "Roots that trim by the old allowlist drop it: the model scores without it until they know.",
            _SILENT,
        ),
        StabilityRule(
            f"{kind}_NO_DELETE",
            SCHEMA,
            f"No {noun} is taken away.",
            "Roots that trim stop sending it. Others send it still: bytes for nothing, and servers that refuse inputs "
            "they do not know (Triton, TF Serving, ONNX Runtime) refuse the request.",
            _ERROR,
            f"Keep the {noun} and let the model ignore it.",
        ),
        StabilityRule(
            f"{kind}_NO_RENAME",
            FEED,
            f"A {noun} that is known by its id keeps its name, or keeps the old name as an alias.",
            "Callers use the old name, and roots that trim by the old allowlist drop the new one.",
            _ERROR,
            "Publish the old name as an alias.",
        ),
        StabilityRule(
            f"{kind}_SAME_NAME",
            FREEZE,
            f"A {noun} keeps its name, even if the old one is still understood.",
            "Nobody, as long as the alias is kept.",
            _NOTHING,
        ),
        StabilityRule(
            f"{kind}_ALIAS_NO_DELETE",
            FEED,
            f"No alias of a {noun} is taken away.",
            "Requests that use it are refused, or scored without the value.",
            _ERROR,
            "Keep the alias.",
        ),
        StabilityRule(
            f"{kind}_ALIAS_NO_ADD",
            FREEZE,
            f"No alias of a {noun} is added.",
            "Nobody; the allowlist grows by a name.",
            _NOTHING,
        ),
        StabilityRule(
            f"{kind}_SAME_ID",
            SCHEMA,
            f"A {noun} keeps its stable id.",
            "Whoever follows the id (feature stores, renames in later versions) finds another value, or none.",
            _SILENT,
            "Restore the id.",
        ),
        StabilityRule(
            f"{kind}_NOT_MADE_REQUIRED",
            FEED,
            f"A {noun} that requests may leave out may still be left out.",
            "Requests without it, which were fine, are refused.",
            _ERROR,
            "Give it a default.",
        ),
        StabilityRule(
            f"{kind}_SAME_PRESENCE",
            FREEZE,
            f"Whether a {noun} is required, optional or has a default stays as it is.",
            "Nobody whose requests carry it.",
            _NOTHING,
        ),
        StabilityRule(
            f"{kind}_SAME_DEFAULT",
            SCHEMA,
            f"The default of a {noun} stays the same.",
            "Requests that leave it out are scored with another value.",
            _SILENT,
            "Restore the default, or let callers send the value.",
        ),
        StabilityRule(
            f"{kind}_NOT_MADE_NON_NULLABLE",
            FEED,
            f"A {noun} that may be null may still be null.",
            "Requests with a null, which were fine, are refused.",
            _ERROR,
            "Let the model fill in nulls.",
        ),
        StabilityRule(
            f"{kind}_NOT_MADE_NULLABLE",
            FREEZE,
            f"A {noun} that must not be null does not become nullable.",
            "Nobody.",
            _NOTHING,
        ),
        StabilityRule(
            f"{kind}_RANGE_NOT_NARROWED",
            SCHEMA,
            f"Values of a {noun} that were in range are in range.",
            "Values between the old and the new limit are outside of what the model was made for.",
            _SILENT,
            "Clip in the model, or restore the range.",
        ),
        StabilityRule(
            f"{kind}_RANGE_NOT_WIDENED",
            FREEZE,
            f"The range of a {noun} does not grow.",
            "Nobody.",
            _NOTHING,
        ),
        StabilityRule(
            f"{kind}_CATEGORY_NO_DELETE",
            SCHEMA,
            f"Every category of a {noun} that was known is known.",
            "Requests with a category that is gone are scored as if it were unknown.",
            _SILENT,
            "Keep the category.",
        ),
        StabilityRule(
            f"{kind}_CATEGORY_NO_ADD",
            FREEZE,
            f"No category of a {noun} is added, and their order stays.",
            "Nobody who sends categories by name; whoever sends their positions means others.",
            _SILENT,
        ),
        StabilityRule(
            f"{kind}_SAME_KIND",
            WIRE,
            f"A {noun} keeps its kind: dense, sparse or ragged tensor, scalar, sequence, map, constant.",
            _OLD_FORM,
            _ERROR,
        ),
        StabilityRule(f"{kind}_SAME_DTYPE", WIRE, f"A {noun} keeps its dtype.", _OLD_FORM, _SILENT),
        StabilityRule(
            f"{kind}_DTYPE_NOT_STATED_OTHERWISE",
            FREEZE,
            f"A {noun} whose dtype the signature leaves open stays open, and one whose dtype is stated stays stated.",
            "Nobody is known to; the new statement should have been made from the beginning.",
            _NOTHING,
            "Embed the full signature into the old version too.",
        ),
        StabilityRule(f"{kind}_SAME_RANK", FEED, f"A {noun} keeps its number of dimensions.", _OLD_FORM, _ERROR),
        StabilityRule(
            f"{kind}_SHAPE_NOT_NARROWED",
            FEED,
            f"Every size that a {noun} could have, it can have: no dimension becomes fixed, is bounded more tightly, "
            "or must now equal another.",
            "Requests of sizes that were fine are refused.",
            _ERROR,
            "Export with the dimension dynamic, within the old bounds.",
        ),
        StabilityRule(
            f"{kind}_SAME_SHAPE",
            FREEZE,
            f"The shape of a {noun} stays the same, even where the new one allows more.",
            "Nobody.",
            _NOTHING,
        ),
    )


_INPUTS_ALONE = (
    StabilityRule(
        "INPUT_SAME_PATH",
        FREEZE,
        "An input keeps its place in the call.",
        "Nobody who sends it by name; code that calls the model directly passes it elsewhere.",
        _NOTHING,
    ),
    StabilityRule(
        "INPUT_SAME_ORDER",
        SCHEMA,
        "Inputs of a model that is called by position keep their order.",
        "Whoever passes them by position passes them for each other.",
        _SILENT,
        "Restore the order of the arguments.",
    ),
    StabilityRule(
        "FEATURE_SAME_POSITION",
        FEED,
        "Features that are the columns of a matrix keep their columns.",
        "Whoever fills the matrix puts values into the old columns, and the model takes them for other features.",
        _SILENT,
        "Add columns behind the old ones only, and keep those that are not used.",
    ),
)

_OUTPUTS = (
    StabilityRule(
        "OUTPUT_NO_DELETE",
        SCHEMA,
        "No output is taken away.",
        "Whoever reads it finds it missing; servers refuse requests that ask for it.",
        _ERROR,
        "Keep the output.",
    ),
    StabilityRule("OUTPUT_NO_ADD", FREEZE, "No output is added.", "Nobody; responses grow.", _NOTHING),
    StabilityRule(
        "OUTPUT_NO_RENAME",
        SCHEMA,
        "An output that is known by its id keeps its name.",
        "Whoever reads it by its old name finds it missing.",
        _ERROR,
        "Return it under the old name too.",
    ),
    StabilityRule(
        "OUTPUT_SAME_ID", SCHEMA, "An output keeps its stable id.", "Whoever follows the id finds another.", _SILENT
    ),
    StabilityRule(
        "OUTPUT_SAME_KIND",
        SCHEMA,
        "An output keeps its kind: dense, sparse or ragged tensor, scalar, sequence, map.",
        "Whoever reads it reads it wrongly, or fails.",
        _ERROR,
    ),
    StabilityRule(
        "OUTPUT_SAME_DTYPE",
        SCHEMA,
        "An output keeps its dtype.",
        "Whoever reads its bytes as the old dtype reads other numbers.",
        _SILENT,
        "Cast in the model.",
    ),
    StabilityRule(
        "OUTPUT_DTYPE_NOT_STATED_OTHERWISE",
        FREEZE,
        "An output whose dtype the signature leaves open stays open, and one whose dtype is stated stays stated.",
        "Nobody is known to.",
        _NOTHING,
    ),
    StabilityRule(
        "OUTPUT_SAME_RANK",
        SCHEMA,
        "An output keeps its number of dimensions.",
        "Whoever indexes it fails, or takes one value for another.",
        _SILENT,
    ),
    StabilityRule(
        "OUTPUT_SAME_SHAPE",
        SCHEMA,
        "An output keeps its shape.",
        "Whoever counts on its sizes (classes, embedding width) fails, or takes one value for another.",
        _SILENT,
    ),
    StabilityRule(
        "OUTPUT_SAME_PATH",
        FREEZE,
        "An output keeps its place in what the model returns.",
        "Nobody who reads it by name; code that calls the model directly finds it elsewhere.",
        _NOTHING,
    ),
)

_WHOLE = (
    StabilityRule(
        "SIGNATURE_PRESENT",
        WIRE,
        "The new version has a signature.",
        "Every tier that reads the signature from the artifact: it cannot be trimmed for, converted for or checked.",
        _ERROR,
        "Export it in a format that states its inputs, or embed a signature: trimtab embed FILE --signature S.",
    ),
    StabilityRule(
        "SIGNATURE_MATCHES_GRAPH",
        WIRE,
        "The signature that the new version declares is the one of its graph.",
        "Roots send what is declared, and the model takes what its graph says.",
        _ERROR,
        "Correct the document, or embed what the graph says: trimtab embed FILE --derive.",
    ),
    StabilityRule(
        "SIGNATURE_SAME_DIGEST",
        FREEZE,
        "The digest of the contract stays the same.",
        "Nobody is known to: no other rule sees a change.",
        _NOTHING,
    ),
)

RULES = {
    rule.name: rule
    for rule in (
        *_ENTRY_POINTS,
        *_of_values("INPUT", "input"),
        *_of_values("FEATURE", "feature inside an input"),
        *_INPUTS_ALONE,
        *_OUTPUTS,
        *_WHOLE,
    )
}
"""Every rule, by name."""

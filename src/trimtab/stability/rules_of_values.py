"""The rules about inputs, and about the features inside inputs."""

from __future__ import annotations

from msgspec import Struct

from trimtab.findings import Level
from trimtab.stability.category import FEED, FREEZE, SCHEMA, WIRE
from trimtab.stability.rule import Notice, StabilityRule

_ERROR, _SILENT, _NOTHING = Notice.ERROR, Notice.SILENT, Notice.NOTHING


class _Wording(Struct, frozen=True):
    """What the rules of inputs and those of features say otherwise.

    kind: how the rules' names begin. noun, an, one: what a law is about. lag: what happens to a new one on its way.
    extra, extra_notice: what happens to one that is gone. keep: how one stays that is not needed. alias: who knows any.
    """

    kind: str
    noun: str
    an: str
    one: str
    lag: str
    extra: str
    extra_notice: Notice
    keep: str
    alias: str


_INPUT = _Wording(
    kind="INPUT",
    noun="input",
    an="an input",
    one="An input",
    lag="Callers of the old version do not send it, and roots that trim by the old allowlist drop it",
    extra="Roots that trim stop sending it. Callers that no root trims for send it still: servers that refuse what "
    "they do not know (Triton, TF Serving, ONNX Runtime) refuse the request, and Keras, called with a mapping, may "
    "take it for another input.",
    extra_notice=Notice.ERROR,
    keep="Keep the input and let the model ignore it.",
    alias="Only leaves that read the signature know aliases; Triton and TF Serving refuse the old name.",
)
_FEATURE = _Wording(
    kind="FEATURE",
    noun="feature inside an input",
    an="a feature inside an input",
    one="A feature inside an input",
    lag="Callers and feature fetches of the old version do not put it in",
    extra="Nobody at once: feature fetches stop reading it, and a parsing graph ignores it. In a matrix the columns "
    "behind it move, which has rules of its own.",
    extra_notice=Notice.NOTHING,
    keep="Keep the feature and let the model ignore it.",
    alias="Only what reads the signature knows aliases; a parsing graph and a table's columns go by the new name.",
)


def _of_values(it: _Wording) -> tuple[StabilityRule, ...]:
    """The rules that inputs and the features inside them have in common."""
    return (
        StabilityRule(
            f"{it.kind}_NO_ADD_REQUIRED",
            FEED,
            f"No {it.noun} that every request must carry is added.",
            f"{it.lag}: the leaf refuses their requests.",
            _ERROR,
            f"Give the {it.noun} a default.",
        ),
        StabilityRule(
            f"{it.kind}_NO_ADD_OPTIONAL",
            FREEZE,
            f"No {it.noun} is added, even one that requests may leave out.",
            f"{it.lag}: the model scores without it until they do.",
            _SILENT,
            why="Every request of the old version is still read as it was meant: it never had the value.",
        ),
        StabilityRule(
            f"{it.kind}_NO_DELETE",
            SCHEMA,
            f"No {it.noun} is taken away.",
            it.extra,
            it.extra_notice,
            it.keep,
            "A request that is trimmed for the new version arrives without it, and is accepted.",
        ),
        StabilityRule(
            f"{it.kind}_NO_RENAME",
            FEED,
            f"{it.one} that is known by its id keeps its name, or keeps the old name as an alias.",
            "Callers use the old name, which is dropped or refused; lagging roots drop the new one.",
            _ERROR,
            "Publish the old name as an alias.",
        ),
        StabilityRule(
            f"{it.kind}_SAME_NAME",
            FREEZE,
            f"{it.one} keeps its name, even if the old one is still understood.",
            f"Nobody, as long as the alias is kept. {it.alias}",
            _NOTHING,
        ),
        StabilityRule(
            f"{it.kind}_ALIAS_NO_DELETE",
            FEED,
            f"No alias of {it.an} is taken away.",
            "Callers that use it: roots drop the value, and the leaf refuses the request or scores without it.",
            _ERROR,
            "Keep the alias.",
        ),
        StabilityRule(
            f"{it.kind}_ALIAS_NO_ADD",
            FREEZE,
            f"No alias of {it.an} is added.",
            "Nobody. The allowlist grows by a name, which lagging roots do not know yet.",
            _NOTHING,
        ),
        StabilityRule(
            f"{it.kind}_ID_STABLE",
            SCHEMA,
            f"{it.one} keeps its stable id.",
            "Whoever follows the id (feature stores, renames in later versions) finds another value, or none.",
            _SILENT,
            "Restore the id.",
        ),
        StabilityRule(
            f"{it.kind}_ID_NO_ADD",
            FREEZE,
            f"{it.one} without a stable id gets none.",
            "Nobody.",
            _NOTHING,
            "Embed the id into the old version too.",
        ),
        StabilityRule(
            f"{it.kind}_NOT_MADE_REQUIRED",
            FEED,
            f"{it.one} that requests may leave out may still be left out.",
            "Callers that leave it out, as they could: the leaf refuses their requests.",
            _ERROR,
            "Give it a default.",
        ),
        StabilityRule(
            f"{it.kind}_SAME_PRESENCE",
            FREEZE,
            f"Whether {it.an} is required, optional or has a default stays as it is.",
            "Nobody: who carries it may go on, and who could leave it out still can.",
            _NOTHING,
        ),
        StabilityRule(
            f"{it.kind}_SAME_DEFAULT",
            FEED,
            f"The default of {it.an} stays the same.",
            "Callers that leave it out: their requests are scored with another value.",
            _SILENT,
            "Restore the default, or let callers send the value.",
            "The same request means another value to the new version, and nothing refuses it.",
        ),
        StabilityRule(
            f"{it.kind}_NOT_MADE_NON_NULLABLE",
            FEED,
            f"{it.one}, or what is inside of it, that may be null may still be null.",
            "Callers that send nulls: the request is refused, or the null (a NaN) goes through into the score.",
            _ERROR,
            "Let the model fill in nulls.",
        ),
        StabilityRule(
            f"{it.kind}_NOT_MADE_NULLABLE",
            FREEZE,
            f"{it.one}, or what is inside of it, that must not be null does not become nullable.",
            "Nobody.",
            _NOTHING,
        ),
        StabilityRule(
            f"{it.kind}_RANGE_NOT_NARROWED",
            FEED,
            f"Values of {it.an} that were in range are in range.",
            "Callers that send values between the old and the new limit: a lookup table refuses the id, anything else "
            "scores what the model was not made for.",
            _SILENT,
            "Clip in the model, or restore the range.",
            "An id beyond an embedding's rows is an error in ONNX Runtime and torch; whether a model checks is not in "
            "its signature.",
        ),
        StabilityRule(
            f"{it.kind}_RANGE_NOT_WIDENED",
            FREEZE,
            f"The range of {it.an} does not grow.",
            "Nobody.",
            _NOTHING,
        ),
        StabilityRule(
            f"{it.kind}_CATEGORY_NO_DELETE",
            FEED,
            f"Every category of {it.an} that was known is known.",
            "Callers that send a category that is gone: the encoder refuses it, or takes it for an unknown one.",
            _SILENT,
            "Keep the category.",
            "Encoders of scikit-learn and XGBoost refuse a category that they do not know; LightGBM takes it for a "
            "missing value.",
        ),
        StabilityRule(
            f"{it.kind}_CATEGORY_NO_ADD",
            FREEZE,
            f"No category of {it.an} is added, and whether its values are said to be categories stays as it is.",
            "Nobody.",
            _NOTHING,
        ),
        StabilityRule(
            f"{it.kind}_SAME_CATEGORICAL",
            FEED,
            f"{it.one} whose values are categories goes on having categories, and one of numbers numbers.",
            "Callers that send numbers of a floating-point dtype for what is a category now, or text for what is a "
            "number now: the model refuses the request.",
            _ERROR,
            "Train with the same categorical features (cat_features).",
            "CatBoost states no dtypes: any numbers are numbers, and text and whole numbers are categories.",
        ),
        StabilityRule(
            f"{it.kind}_CATEGORY_SAME_ORDER",
            SCHEMA,
            f"The categories of {it.an} keep their order, and new ones come last.",
            "Callers that send a category's number and not its name mean another one.",
            _SILENT,
            "Fit the encoder with the old categories in the old order.",
            "A signature lists the categories as requests spell them: by name, the order does not count.",
        ),
        StabilityRule(
            f"{it.kind}_SAME_KIND",
            WIRE,
            f"{it.one} keeps its kind: dense, sparse or ragged tensor, scalar, sequence, map, constant.",
            "Callers and roots still send the old kind: the leaf refuses it.",
            _ERROR,
        ),
        StabilityRule(
            f"{it.kind}_SAME_DTYPE",
            WIRE,
            f"{it.one} keeps its dtype.",
            "Callers and roots still send the old dtype: the leaf refuses it, or, where something casts on the way, "
            "ids collide and numbers lose their ends.",
            _ERROR,
            "Take the old dtype and cast in the model.",
        ),
        StabilityRule(
            f"{it.kind}_DTYPE_NOT_NARROWED",
            WIRE,
            f"{it.one} whose dtype the signature leaves open stays open.",
            "Callers that send another dtype than the one now stated, as they could: the leaf refuses their requests.",
            _ERROR,
            "If it always had this dtype, embed the full signature into the old version too.",
            "A leaf reads any dtype where none is stated; where one is, bytes of another are not what they were.",
        ),
        StabilityRule(
            f"{it.kind}_DTYPE_NOT_WIDENED",
            FREEZE,
            f"{it.one} whose dtype is stated stays stated.",
            "Nobody is known to; but the gate no longer sees when the dtype changes.",
            _NOTHING,
            "Embed a signature that states the dtype: trimtab embed FILE --signature S.",
        ),
        StabilityRule(
            f"{it.kind}_SAME_RANK",
            FEED,
            f"{it.one} keeps its number of dimensions.",
            "Callers and roots still send the old shape: the leaf refuses it.",
            _ERROR,
            "Take the old shape and reshape in the model.",
        ),
        StabilityRule(
            f"{it.kind}_DIM_NOT_NARROWED",
            FEED,
            f"Every size that {it.an} could have, it can have: no dimension becomes fixed, is bounded more "
            "tightly, or must now equal another.",
            "Callers whose requests have a size that was fine (often: batches larger than before) are refused.",
            _ERROR,
            "Export with the dimension dynamic, within the old bounds.",
        ),
        StabilityRule(
            f"{it.kind}_SAME_SHAPE",
            FREEZE,
            f"The shape of {it.an} stays the same, even where the new one allows more.",
            "Nobody.",
            _NOTHING,
        ),
        StabilityRule(
            f"{it.kind}_BATCH_SEEN",
            FREEZE,
            f"The batch of the example inputs that {it.an} is known from stays the same.",
            "Nobody: the model takes any batch, and so does a leaf.",
            _NOTHING,
            "Embed a signature that says which sizes may vary: trimtab embed FILE --signature S.",
            "It is a note: the size of a batch is whatever was at hand. Any other size of the example counts.",
            Level.NOTE,
            forks=False,
        ),
    )


_OF_INPUTS_ALONE = (
    StabilityRule(
        "INPUT_SAME_QUANTIZATION",
        FEED,
        "An input whose integers stand for other numbers keeps its scale and its zero point.",
        "Callers that quantize with the old scale and zero point: the model takes the same bytes for other numbers.",
        _SILENT,
        "Convert the model with floating-point inputs (inference_input_type), or with the old representative data.",
        "The bytes are decoded to the same integers, which is all that WIRE asks for.",
    ),
    StabilityRule(
        "INPUT_NO_DELETE_UNLESS_TRIMMED",
        FEED,
        "No input is taken from an entry point or an overload whose name something else of the model still takes.",
        "Callers of what lost the input: roots go on sending it, and servers that refuse what they do not know "
        "(TF Serving) refuse the request. Where the name became an alias, the leaf refuses the one value sent twice.",
        _ERROR,
        "Keep the input and let the model ignore it, or take it from the whole model.",
        "An allowlist is for all entry points and overloads of a model, so this input is not trimmed away.",
    ),
    StabilityRule(
        "INPUT_RANGE_SEEN",
        FREEZE,
        "The range or the category codes that an input had in training, where the file notes them, stay the same.",
        "Nobody: the model takes any value, and every training sees other data. LightGBM takes a code that it has not "
        "seen for a missing value.",
        _NOTHING,
        "Nothing; look at it if the range moved far, or if codes are gone that requests send.",
        "It is a note, unlike the ranges and the lists of categories that a signature promises.",
        Level.NOTE,
        forks=False,
    ),
    StabilityRule(
        "INPUT_SAME_CONSTANT",
        SCHEMA,
        "An argument whose value is built into the artifact keeps that value.",
        "Code that calls the model itself with the old value is refused (torch.export checks it).",
        _ERROR,
        "Export again with the old value.",
        "No request carries it, so requests are read as before.",
    ),
    StabilityRule(
        "INPUT_SAME_PATH",
        FREEZE,
        "An input keeps its place in the call, also where the format of the artifact changes, and its position.",
        "Nobody by this alone: each format has its own call, and where positions matter INPUT_SAME_ORDER says so.",
        _NOTHING,
    ),
    StabilityRule(
        "INPUT_NO_MOVE",
        SCHEMA,
        "Inputs are passed in the same structure: as arguments, in a list, under keys.",
        "Code that calls the model itself with the old structure: torch refuses it, and Keras, which takes a list for "
        "the values of a mapping in the order of its keys, may take one input for another.",
        _SILENT,
        "Take the old structure, and rearrange it in the model.",
        "Roots and leaves pass inputs by name, so a trimmed request is read as before.",
    ),
    StabilityRule(
        "INPUT_SAME_ORDER",
        SCHEMA,
        "Inputs of a model that is called by position keep their places: arguments, and the columns of a table.",
        "Code that passes them by position passes one for another: LightGBM scores it, XGBoost refuses a table "
        "whose columns have another order.",
        _SILENT,
        "Restore the order, and put new inputs last.",
        "Roots and leaves pass inputs by name, so a trimmed request is read as before.",
    ),
    StabilityRule(
        "INPUT_SAME_WIDTH",
        FEED,
        "A matrix whose columns are features keeps their number.",
        "Callers and roots still send the old number of columns: the model refuses the matrix.",
        _ERROR,
        "Keep the columns, let the model ignore those that it does not need, and send new features as a new input.",
        "Columns cannot be trimmed away: a matrix is sent as a whole.",
    ),
    StabilityRule(
        "INPUT_COLUMNS_STILL_NAMED",
        SCHEMA,
        "A matrix whose columns have names keeps naming them.",
        "Feature fetches that fill it by these names do not know what belongs into which column.",
        _ERROR,
        "Train or save the model with the names of its columns.",
    ),
    StabilityRule(
        "INPUT_COLUMNS_NOT_NAMED",
        FREEZE,
        "A matrix whose columns have no names stays without.",
        "Nobody.",
        _NOTHING,
        "Embed the names into the old version too.",
    ),
    StabilityRule(
        "FEATURE_SAME_POSITION",
        FEED,
        "Features that are the columns of a matrix keep their columns.",
        "Callers and roots fill the old columns, and the model takes their values for other features.",
        _SILENT,
        "Keep the columns that are not used, in their places.",
    ),
)

INPUTS = (*_of_values(_INPUT), *_OF_INPUTS_ALONE[:-1], *_of_values(_FEATURE), _OF_INPUTS_ALONE[-1])

"""The rules about a model as a whole: its entry points, its outputs, its signature, and the waivers for it."""

from __future__ import annotations

from trimtab.findings import Level
from trimtab.stability.category import FEED, FREEZE, SCHEMA, WIRE
from trimtab.stability.rule import Notice, StabilityRule

_ERROR, _SILENT, _NOTHING = Notice.ERROR, Notice.SILENT, Notice.NOTHING

ENTRY_POINTS = (
    StabilityRule(
        "ENTRYPOINT_NO_DELETE",
        FEED,
        "No entry point is taken away.",
        "Callers that name it (TF Serving's signature_name, a method of a TorchScript module) are refused.",
        _ERROR,
        "Export the old entry point beside the new one.",
    ),
    StabilityRule(
        "ENTRYPOINT_NO_RENAME",
        FEED,
        "The default entry point of a format keeps its name.",
        "Callers that name it are refused. Callers that name none notice nothing, and neither do roots.",
        _ERROR,
        "Export it under the old name too; or, where nobody names it, waive this.",
        "TensorFlow clients mostly state `serving_default`, so a request that names it is an ordinary one.",
    ),
    StabilityRule(
        "ENTRYPOINT_SAME_NAME",
        FREEZE,
        "The default entry point keeps its name, also where the format of the artifact changes.",
        "Nobody: each format names it in its own way (`forward`, `main`, `serving_default`), and requests that named "
        "it went to a server of the old format.",
        _NOTHING,
    ),
    StabilityRule(
        "ENTRYPOINT_NO_ADD",
        FREEZE,
        "No entry point is added.",
        "Nobody. The allowlist grows by the inputs of the new entry point, so roots keep more of every request.",
        _NOTHING,
    ),
    StabilityRule(
        "ENTRYPOINT_SAME_DEFAULT",
        FEED,
        "Requests that name no entry point go where they went.",
        "Callers that name none: another entry point answers them, or refuses inputs that it does not know.",
        _SILENT,
        "Make the old entry point the default again.",
    ),
    StabilityRule(
        "OVERLOAD_NO_DELETE",
        FEED,
        "No overload is taken away.",
        "Callers whose requests only this overload took are refused; another overload may take the rest.",
        _ERROR,
        "Trace the function for the old call too before saving.",
    ),
    StabilityRule(
        "OVERLOAD_NO_ADD",
        FREEZE,
        "No overload is added.",
        "Nobody, as long as it is tried after the old ones.",
        _NOTHING,
    ),
    StabilityRule(
        "OVERLOAD_SAME_ORDER",
        FEED,
        "Overloads that one request may fit are tried in the same order, and new ones after the old ones.",
        "Callers whose requests fit two of them: another overload answers than before.",
        _SILENT,
        "Trace the calls in the old order before saving, and new ones last.",
        "The first overload that fits a request answers it: the order decides what a request means.",
    ),
    StabilityRule(
        "OVERLOAD_SAME_PLACE",
        FREEZE,
        "Overloads are tried in the same order, even where no request fits two of them.",
        "Nobody: TensorFlow saves traces in the order in which they were made, and each takes requests of its own.",
        _NOTHING,
        "Trace the calls in the old order before saving.",
    ),
)

OUTPUTS = (
    StabilityRule(
        "OUTPUT_NO_DELETE",
        SCHEMA,
        "No output is taken away.",
        "Roots and dashboards that read it find it missing; servers refuse requests that ask for it by name.",
        _ERROR,
        "Keep the output.",
        "What goes into the model is read as before, so no category of requests counts outputs.",
    ),
    StabilityRule(
        "OUTPUT_NO_ADD",
        FREEZE,
        "No output is added.",
        "Nobody who reads outputs by name. Responses grow.",
        _NOTHING,
    ),
    StabilityRule(
        "OUTPUT_NO_RENAME",
        SCHEMA,
        "An output that is known by its id keeps its name.",
        "Roots and dashboards that read it by its old name find it missing.",
        _ERROR,
        "Return it under the old name too.",
    ),
    StabilityRule(
        "OUTPUT_ID_STABLE",
        SCHEMA,
        "An output keeps its stable id.",
        "Dashboards and logs that follow the id lose the output, or take another one for it.",
        _SILENT,
        "Restore the id.",
    ),
    StabilityRule(
        "OUTPUT_ID_NO_ADD",
        FREEZE,
        "An output without a stable id gets none.",
        "Nobody.",
        _NOTHING,
        "Embed the id into the old version too.",
    ),
    StabilityRule(
        "OUTPUT_SAME_ORDER",
        SCHEMA,
        "Outputs of a model that returns them in a row keep their places.",
        "Code that takes them by position (`session.run(None, feed)[0]`) takes one for another.",
        _SILENT,
        "Return the outputs in the old order, and new ones last.",
        "Servers give outputs by name, so only code around the framework itself breaks.",
    ),
    StabilityRule(
        "OUTPUT_SAME_PATH",
        FREEZE,
        "An output keeps its place in what is returned, also where the format of the artifact changes, and its "
        "position.",
        "Nobody by this alone: each format returns in its own way, and where positions matter OUTPUT_SAME_ORDER says "
        "so.",
        _NOTHING,
    ),
    StabilityRule(
        "OUTPUT_NO_MOVE",
        SCHEMA,
        "Outputs are returned in the same structure: as one value, in a list, under keys.",
        "Code that calls the model itself looks for the output where it was, and finds nothing or another one.",
        _ERROR,
        "Return the old structure.",
        "Servers give outputs by name, so only code around the framework itself breaks.",
    ),
    StabilityRule(
        "OUTPUT_SAME_KIND",
        SCHEMA,
        "An output keeps its kind: dense, sparse or ragged tensor, scalar, sequence, map, constant.",
        "Roots and dashboards fail to decode it.",
        _ERROR,
    ),
    StabilityRule(
        "OUTPUT_SAME_DTYPE",
        SCHEMA,
        "An output keeps its dtype.",
        "Roots and dashboards that read its bytes as the old dtype read other numbers.",
        _SILENT,
        "Cast in the model.",
    ),
    StabilityRule(
        "OUTPUT_SAME_QUANTIZATION",
        SCHEMA,
        "An output whose integers stand for other numbers keeps its scale and its zero point.",
        "Roots and dashboards that turn its integers into numbers by the old scale and zero point get other scores.",
        _SILENT,
        "Convert the model with floating-point outputs (inference_output_type).",
    ),
    StabilityRule(
        "OUTPUT_DTYPE_NOT_WIDENED",
        SCHEMA,
        "An output whose dtype is stated stays stated.",
        "Roots and dashboards can no longer know how to read its bytes.",
        _SILENT,
        "Embed a signature that states the dtype: trimtab embed FILE --signature S.",
    ),
    StabilityRule(
        "OUTPUT_DTYPE_NOT_NARROWED",
        FREEZE,
        "An output whose dtype the signature leaves open stays open.",
        "Nobody.",
        _NOTHING,
        "Embed the full signature into the old version too.",
    ),
    StabilityRule(
        "OUTPUT_SAME_RANK",
        SCHEMA,
        "An output keeps its number of dimensions.",
        "Code that indexes it fails, or takes one value for another.",
        _SILENT,
        "Reshape in the model.",
    ),
    StabilityRule(
        "OUTPUT_DIM_NOT_WIDENED",
        SCHEMA,
        "Every size that an output can have, it could have before: classes, width, and sizes equal to an input's.",
        "Code that counts on its sizes fails, or takes one value for another.",
        _SILENT,
        "Return the old sizes.",
        "Readers mind what is new to them; senders mind what is no longer allowed.",
    ),
    StabilityRule(
        "OUTPUT_SAME_SHAPE",
        FREEZE,
        "The shape of an output stays the same, even where the new one promises more.",
        "Nobody.",
        _NOTHING,
    ),
    StabilityRule(
        "OUTPUT_NOT_MADE_NULLABLE",
        SCHEMA,
        "An output, or what is inside of it, that was never null does not become null.",
        "Roots and dashboards that expect a value fail on null.",
        _ERROR,
        "Return a value in its place.",
    ),
    StabilityRule(
        "OUTPUT_NOT_MADE_NON_NULLABLE",
        FREEZE,
        "An output, or what is inside of it, that may be null stays so.",
        "Nobody.",
        _NOTHING,
    ),
)

WHOLE = (
    StabilityRule(
        "SIGNATURE_PRESENT",
        WIRE,
        "The new version has a signature.",
        "Roots have no allowlist for it, the leaf does not load it, and no later version can be held against it.",
        _ERROR,
        "Export it in a format that states its inputs, or embed a signature: trimtab embed FILE --signature S.",
        forks=False,
    ),
    StabilityRule(
        "SIGNATURE_MATCHES_GRAPH",
        WIRE,
        "The signature that the new version declares is the one of its graph.",
        "Roots send what is declared, and the model takes what its graph says.",
        _ERROR,
        "Correct the document, or embed what the graph says: trimtab embed FILE --derive.",
        forks=False,
    ),
    StabilityRule(
        "SIGNATURE_SAME_DIGEST",
        FREEZE,
        "The digest of the contract stays the same.",
        "Nobody is known to: no other rule sees the change. Leaves that hold the digest against their bundle see one.",
        _NOTHING,
        "Compare the two documents: trimtab inspect FILE --json.",
    ),
)

WAIVERS = (
    StabilityRule(
        "WAIVER_EXPIRED",
        WIRE,
        "No waiver is past its day.",
        "Whoever publishes the model: the change that was let through is refused again, and somebody must decide.",
        _ERROR,
        "Fork the model, undo the change, or renew the waiver with a reason that holds today.",
        forks=False,
    ),
    StabilityRule(
        "WAIVER_UNMATCHED",
        WIRE,
        "Every waiver covers a change.",
        "Nobody yet: a waiver that is left behind lets the next change of its kind through unseen.",
        _NOTHING,
        "Remove it from trimtab.toml.",
        level=Level.WARNING,
        forks=False,
    ),
)

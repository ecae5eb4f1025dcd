"""Write scores as a ModelInferResponse: raw contents for a request that used them, typed contents otherwise."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trimtab.converting.contents import raw_contents
from trimtab.protocols import oip

if TYPE_CHECKING:
    import numpy as np

    from trimtab.serving.leaf.scoring import Scores


def model_infer_response(scores: Scores) -> bytes:
    """The serialized answer. One output without typed form (FP16, BF16) makes all of them raw: it is all or none."""
    answer = oip.ModelInferResponse(
        model_name=scores.model.name, model_version=str(scores.model.version), id=scores.header.id
    )
    raw = scores.header.raw or any(it.datatype not in oip.CONTENTS_FIELDS for it in scores.outputs.values())
    for name, output in scores.outputs.items():
        tensor = answer.outputs.add(name=name, datatype=output.datatype, shape=output.array.shape)
        if raw:
            answer.raw_output_contents.append(raw_contents(output.array, output.datatype))
        else:
            values = _bytes_elements(output.array) if output.datatype == "BYTES" else output.array.ravel().tolist()
            getattr(tensor.contents, oip.CONTENTS_FIELDS[output.datatype]).extend(values)
    serialized: bytes = answer.SerializeToString()
    return serialized


def _bytes_elements(array: np.ndarray) -> list[bytes]:
    return [it.encode() if isinstance(it, str) else it for it in array.ravel().tolist()]

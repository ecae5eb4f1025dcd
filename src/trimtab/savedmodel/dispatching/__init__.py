"""What TensorFlow would do with a call, without it: which trace it runs and what it feeds it, or how it refuses.

Source of every rule: tensorflow/python/saved_model/function_deserialization.py and what it calls, in release 2.21.
"""

from trimtab.savedmodel.dispatching.language import Call, dispatch_call, parse_call
from trimtab.savedmodel.dispatching.lookup import dispatch_path, dispatch_signature
from trimtab.savedmodel.dispatching.outcome import Dispatch, Feed, Mismatch, Refusal, Trial
from trimtab.savedmodel.dispatching.values import Opaque, RaggedValue, SparseValue, TensorValue, Value, value_of

__all__ = [
    "Call",
    "Dispatch",
    "Feed",
    "Mismatch",
    "Opaque",
    "RaggedValue",
    "Refusal",
    "SparseValue",
    "TensorValue",
    "Trial",
    "Value",
    "dispatch_call",
    "dispatch_path",
    "dispatch_signature",
    "parse_call",
    "value_of",
]

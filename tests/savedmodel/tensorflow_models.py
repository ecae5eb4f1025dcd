"""Small SavedModels of every kind, written by TensorFlow itself, each with calls in the corpus's argument language.

They are a second set beside the shared corpus: other models of the same kinds, so that nothing is fitted to single
files. A builder saves into a folder that does not exist yet and returns the calls; where the TensorFlow at hand lacks
what a model needs it raises NotHere. They run on TensorFlow 2.12 and later; `tensorflow_oracle.py` is the script.
"""

from __future__ import annotations

import tensorflow_models_arguments
import tensorflow_models_examples
import tensorflow_models_keras
import tensorflow_models_objects
import tensorflow_models_signatures
import tensorflow_models_structures
import tensorflow_models_v1
from saved_model_calls import MODELS, NotHere

__all__ = [
    "MODELS",
    "NotHere",
    "tensorflow_models_arguments",
    "tensorflow_models_examples",
    "tensorflow_models_keras",
    "tensorflow_models_objects",
    "tensorflow_models_signatures",
    "tensorflow_models_structures",
    "tensorflow_models_v1",
]

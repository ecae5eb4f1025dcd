"""Save the ExampleModel of "A Tour of SavedModel Signatures", the model that docs/savedmodel.md walks through.

    python docs/example_model.py docs/example-model

Needs tensorflow; what it wrote is kept beside it, so that the pages run without.
Source: https://blog.tensorflow.org/2021/03/a-tour-of-savedmodel-signatures.html
"""

from __future__ import annotations

import sys

import tensorflow as tf


class ExampleModel(tf.Module):
    """A function with a captured variable, and one with two traces."""

    @tf.function(input_signature=[tf.TensorSpec(shape=(), dtype=tf.float32)])
    def capture_fn(self, x):
        if not hasattr(self, "weight"):
            self.weight = tf.Variable(5.0, name="weight")
        self.weight.assign_add(x * self.weight)
        return self.weight

    @tf.function
    def polymorphic_fn(self, x):
        return tf.constant(3.0) * x


if __name__ == "__main__":
    model = ExampleModel()
    model.polymorphic_fn(tf.constant(4.0))
    model.polymorphic_fn(tf.constant([1.0, 2.0, 3.0]))
    tf.saved_model.save(model, sys.argv[1], signatures={"capture_fn": model.capture_fn})

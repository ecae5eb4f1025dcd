"""How the rules say that TensorFlow raises: an exception that stays inside this package and ends as a `Refusal`."""

from __future__ import annotations


class Raises(Exception):  # noqa: N818  it reports what TensorFlow does; it is no error of ours
    """TensorFlow raises an error of this class, with this text."""

    def __init__(self, tensorflow: str, message: str) -> None:
        super().__init__(message)
        self.tensorflow = tensorflow
        self.message = message


SOFT = frozenset({"TypeError", "ValueError"})
"""The classes that TensorFlow catches where it only tries something."""

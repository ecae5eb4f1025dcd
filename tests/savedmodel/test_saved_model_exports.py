"""What `trimtab.savedmodel` offers is there, and is imported only when it is used."""

from __future__ import annotations

import subprocess
import sys

from trimtab import savedmodel


def test_every_name_is_there() -> None:
    assert [name for name in savedmodel.__all__ if not hasattr(savedmodel, name)] == []
    assert savedmodel.__all__ == sorted(savedmodel.__all__)


def test_reading_imports_neither_protobuf_nor_numpy_nor_tensorflow() -> None:
    code = "import sys; from trimtab import savedmodel; savedmodel.load; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()
    assert not {"google.protobuf", "numpy", "tensorflow", "trimtab.savedmodel.editing"} & set(loaded)

"""JSON Schema of the signature document, generated from the types.

The generated file ships as `signature.schema.json` beside this module: `python -m trimtab.signature.schema` prints it.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import msgspec

from trimtab.signature.document import DOCUMENT_VERSION, SignatureDocument

SCHEMA_FILE = "signature.schema.json"


def document_schema() -> dict[str, Any]:
    """The schema as a dict, JSON Schema 2020-12."""
    (reference,), components = msgspec.json.schema_components([SignatureDocument], ref_template="#/$defs/{name}")
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"trimtab signature document, versions 1 to {DOCUMENT_VERSION}",
        **reference,
        "$defs": components,
    }


def document_schema_text() -> str:
    """The schema as it is written to the file."""
    return json.dumps(document_schema(), indent=2) + "\n"


if __name__ == "__main__":
    sys.stdout.write(document_schema_text())

"""Which code reads artifacts: what an index remembers was said by these readers, and others may say otherwise."""

from __future__ import annotations

import hashlib
import os
from importlib.metadata import entry_points
from pathlib import Path

import trimtab
from trimtab.artifacts.registry import ENTRY_POINT_GROUP

_PACKAGES = ("artifacts", "savedmodel", "signature", "source")
"""What a signature depends on besides the artifact."""


def reader_fingerprint() -> str:
    """Changes when trimtab's readers or the installed format plug-ins do."""
    digest = hashlib.sha256()
    home = Path(trimtab.__file__).parent
    for package in _PACKAGES:
        for folder, folders, files in os.walk(home / package):
            folders.sort()
            for name in sorted(files):
                if name.endswith(".py"):
                    status = os.stat(os.path.join(folder, name))
                    digest.update(f"{package} {name} {status.st_size} {status.st_mtime_ns}\n".encode())
    for each in entry_points(group=ENTRY_POINT_GROUP):
        digest.update(f"{each.name} {each.value} {each.dist.version if each.dist is not None else ''}\n".encode())
    return digest.hexdigest()

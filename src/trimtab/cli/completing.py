"""What a shell offers at a tab: names of rules, and of the bundles, models and versions that a store has in force.

A tab that finds nothing, or a store that cannot be asked, offers nothing and says nothing.
"""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

from trimtab.errors import TrimtabError

if TYPE_CHECKING:
    import click

    from trimtab.bundles.store.store import Store


def rule_names(_context: click.Context, _parameter: click.Parameter, begun: str) -> list[str]:
    """The rules of `trimtab rules`."""
    from trimtab.stability import RULES

    return [name for name in RULES if name.startswith(begun.upper())]


def bundle_names(context: click.Context, _parameter: click.Parameter, begun: str) -> list[str]:
    """The names that the store of the line has a history of."""
    with contextlib.suppress(TrimtabError):
        return [name for name in _store(context).names() if name.startswith(begun)]
    return []


def versions_in_force(context: click.Context, _parameter: click.Parameter, begun: str) -> list[str]:
    """MODEL:VERSION of the bundles that the store of the line has in force anywhere."""
    found: set[str] = set()
    with contextlib.suppress(TrimtabError):
        store = _store(context)
        heads = [head for name in store.names() if (head := store.head(name)) is not None]
        for digest in {digest for head in heads for digest in head.pointers.bundles}:
            models = store.bundle(digest).models
            found |= {f"{name}:{number}" for name, model in models.items() for number in model.versions}
    return sorted(each for each in found if each.startswith(begun))


def model_names(context: click.Context, _parameter: click.Parameter, begun: str) -> list[str]:
    """The models of the repository that the line names."""
    with contextlib.suppress(OSError), os.scandir(context.params.get("repository") or ".") as entries:
        return sorted(each.name for each in entries if each.is_dir() and each.name.startswith(begun))
    return []


def _store(context: click.Context) -> Store:
    from trimtab.bundles.store.opening import open_store
    from trimtab.errors import StoreError

    place = context.params.get("place") or os.environ.get("TRIMTAB_STORE")
    if not place:
        raise StoreError(expected="a store")
    return open_store(place)

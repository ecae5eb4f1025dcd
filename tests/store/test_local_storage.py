"""What only folders have: file systems without hard links, answers that a network lost, links and permissions."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import Any

import pytest
from store_making import OLD, a_store, begin

from trimtab.bundles.store import local
from trimtab.bundles.store.local import LocalStorage
from trimtab.bundles.store.opening import open_store
from trimtab.bundles.store.store import Store
from trimtab.bundles.store.verifying import verify_store
from trimtab.errors import StoreError


class Calls:
    """The module `os`, but for what is given."""

    def __init__(self, **instead: Any) -> None:
        self.__dict__.update(instead)

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)


def failing(code: int) -> Any:
    def call(*arguments: Any, **named: Any) -> Any:
        raise OSError(code, os.strerror(code))

    return call


@pytest.mark.parametrize("code", [errno.EPERM, errno.ENOTSUP], ids=errno.errorcode.get)
def test_a_file_system_without_hard_links_is_refused_when_a_store_is_begun(
    tmp_path: Path, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(local, "os", Calls(link=failing(code)))
        with pytest.raises(StoreError, match="Does this file system know hard links"):
            Store.create(LocalStorage(tmp_path / "store"))
    with pytest.raises(StoreError, match="expected a store"):
        open_store(tmp_path / "store")


@pytest.mark.parametrize(
    ("call", "code", "told"),
    [
        ("link", errno.EXDEV, "one file system"),
        ("open", errno.EACCES, "needs the right to write"),
        ("mkdir", errno.EROFS, "needs the right to write"),
        ("write", errno.EDQUOT, "Make room"),
    ],
)
def test_what_the_system_refuses_is_told_with_what_to_do(
    tmp_path: Path, call: str, code: int, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = a_store(tmp_path)
    with monkeypatch.context() as patched:
        patched.setattr(local, "os", Calls(**{call: failing(code)}))
        with pytest.raises(StoreError) as raised:
            store.storage.create("a/b", b"data")
    assert told in raised.value.hint
    assert os.strerror(code) in str(raised.value)
    assert verify_store(store).sound


def test_a_link_whose_answer_was_lost_is_recognized(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As over NFS: the link was made, the answer lost, and the client's second try finds the name taken."""

    def link(*arguments: Any, **named: Any) -> None:
        os.link(*arguments, **named)
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))

    store = a_store(tmp_path)
    store.put_bundle(OLD)
    monkeypatch.setattr(local, "os", Calls(link=link))
    assert store.append(begin())
    assert not store.append(begin())


def test_objects_are_made_for_others_to_read_and_nobody_to_write(tmp_path: Path) -> None:
    mask = os.umask(0o022)
    try:
        storage = LocalStorage(tmp_path)
        storage.create("a/object", b"")
        storage.replace("a/word", b"")
    finally:
        os.umask(mask)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "a").iterdir()}
    assert modes == {"object": 0o444, "word": 0o644}


def test_the_stores_own_folder_may_be_a_link(tmp_path: Path) -> None:
    a_store(tmp_path / "real")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    store = open_store(tmp_path / "link")
    store.put_bundle(OLD)
    assert store.append(begin())
    assert verify_store(open_store(tmp_path / "real")).sound


def test_a_store_is_not_begun_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    for place in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(StoreError):
            Store.create(LocalStorage(place))
    with pytest.raises(StoreError, match="expected a folder, got a file"):
        Store.create(LocalStorage(tmp_path / "file"))
    assert (tmp_path / "file").read_bytes() == b""


def test_a_store_that_went_away_is_not_made_again(tmp_path: Path) -> None:
    """As when a disk is no longer mounted: nothing is written to what lies under it."""
    store = a_store(tmp_path / "store")
    (tmp_path / "store").rename(tmp_path / "elsewhere")
    for write in (store.storage.create, store.storage.replace):
        with pytest.raises(StoreError, match="No such file or directory"):
            write("a/b", b"")
    assert not (tmp_path / "store").exists()
    assert store.head("ads") is None
    with pytest.raises(StoreError, match="shorter than it was"):
        store.head("ads", 3)

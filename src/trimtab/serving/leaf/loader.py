"""Load what the repository holds, and follow it: new versions, removed ones, files that are still being written.

A version that cannot be loaded is refused with its reason and tried again when its files or the bundle change; it never
takes the place of one that works.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from trimtab.artifacts.read import read_signature
from trimtab.bundles.repository import ModelRepository
from trimtab.converting.converter import FeatureConverter
from trimtab.errors import ArtifactError, BundleError, TrimtabError
from trimtab.serving import headers
from trimtab.serving.leaf.engines.engine import open_engine
from trimtab.serving.leaf.models import ModelTable, RefusedVersion, ServedModel
from trimtab.serving.leaf.warm_up import warm_up
from trimtab.signature.types import Mapping

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    from trimtab.bundles.identity import FileIdentity
    from trimtab.bundles.repository import ArtifactVersion
    from trimtab.observing.leaf_metrics import LeafMetrics
    from trimtab.serving.leaf.digests import Digests
    from trimtab.signature.model import Signature

log = logging.getLogger(__name__)


class ModelLoader:
    """Keeps `table` in step with a repository. `refresh` is for one thread; `table` may be read from any."""

    def __init__(self, repository: Path, digests: Digests, metrics: LeafMetrics, *, threads: int) -> None:
        self.table = ModelTable()
        self._repository = ModelRepository(repository)
        self._digests = digests
        self._metrics = metrics
        self._threads = threads
        self._served: dict[_Key, ServedModel] = {}
        self._refused: dict[_Key, RefusedVersion] = {}
        self._tried: dict[_Key, _Attempt] = {}

    def refresh(self) -> bool:
        """Look at the repository once; True when the table changed.

        Raises BundleError when the repository itself cannot be listed; what is loaded then stays.
        """
        self._digests.refresh()
        found = {
            (it.model, it.version): it for it in self._repository.scan() if self._digests.wants(it.model, it.version)
        }
        if changed := self._forget_all_but(found.keys()):
            self._put_in_force()  # now, and not when all that is new is loaded
        for key, artifact in found.items():
            served = self._served.get(key)
            attempt = (artifact.identity, self._digests.state)
            if (served and served.identity == artifact.identity) or self._tried.get(key) == attempt:
                continue
            self._tried[key] = attempt
            self._try(key, artifact)
            changed = True
        if self._digests.settle({key: model.signature.digest for key, model in self._served.items()}):
            changed |= self._forget_all_but([key for key in found if self._digests.wants(*key)])
        if changed:
            self._put_in_force()
        self._digests.confirm()
        return changed

    def _put_in_force(self) -> None:
        self.table = ModelTable(self._served.values(), self._refused.values())
        self._metrics.set_versions(loaded=len(self._served), refused=len(self._refused))

    def _try(self, key: _Key, artifact: ArtifactVersion) -> None:
        try:
            model = self._load(artifact)
        except TrimtabError as error:
            self._refused[key] = RefusedVersion(*key, str(error))
            kept = "; the one loaded before stays" if key in self._served else ""
            log.warning("refused %s:%d%s: %s", *key, kept, error)
        else:
            self._served[key] = model
            self._refused.pop(key, None)
            log.info("loaded %s (%s, %s)", model, model.engine.platform, model.signature.digest)

    def _load(self, artifact: ArtifactVersion) -> ServedModel:
        name, version, path = artifact.model, artifact.version, artifact.path
        signature = read_signature(path)
        self._digests.check(name, version, signature)
        converter = FeatureConverter(signature, model=name, version=str(version))
        engine = open_engine(path, signature, threads=self._threads)
        # The framework read the file after we did. Only if it is still the file that we accepted, the two agree.
        if not self._unchanged(artifact):
            raise ArtifactError("the file changed while it was loaded", where=str(path), hint="It will be tried again.")
        warm_up(engine, converter, signature)
        return ServedModel(
            name=name,
            version=version,
            path=path,
            identity=artifact.identity,
            signature=signature,
            converter=converter,
            engine=engine,
            metrics=self._metrics.of_version(name, str(version)),
            outputs=_output_names(signature),
            headers=(
                (headers.SIGNATURE_DIGEST, signature.digest),
                (headers.INPUT_DIGEST, signature.input_digest),
                (headers.MODEL_VERSION, str(version)),
            ),
        )

    def _unchanged(self, artifact: ArtifactVersion) -> bool:
        try:
            now = {(it.model, it.version): it.identity for it in self._repository.scan()}
        except BundleError:
            return False
        return now.get((artifact.model, artifact.version)) == artifact.identity

    def _forget_all_but(self, present: Collection[_Key]) -> bool:
        gone = [key for key in self._tried if key not in present]
        for key in gone:
            del self._tried[key]
            self._refused.pop(key, None)
            if self._served.pop(key, None):
                log.info("unloaded %s:%d, which is to be served no more", *key)
        return bool(gone)


_Key = tuple[str, int]
_Attempt = tuple["tuple[tuple[str, FileIdentity], ...]", tuple[str | None, ...]]


def _output_names(signature: Signature) -> frozenset[str]:
    if any(isinstance(output.type, Mapping) for output in signature.outputs):
        return frozenset()  # its keys are known only once it has run
    return frozenset(signature.output_names)

"""The recognizer of `earmark serve`, opened in a worker process; apart from `serve`, so that a worker loads little."""

from __future__ import annotations

from pathlib import Path

from pipeline.engine.catalogue import Catalogue
from pipeline.recognizers.embedded import Embedded
from pipeline.server.worker import Ear


def open_ear(folder: Path) -> Ear:
    """The engine over the catalogue in `folder`, made empty if there is none. Raises StorageError."""
    catalogue = Catalogue.open(folder, create=True)
    catalogue.warm_up()  # or the first job would wait for it
    return Ear(Embedded(catalogue), catalogue.refresh)

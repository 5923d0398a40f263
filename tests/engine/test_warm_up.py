"""What a search needs compiled is compiled when music is added, not when somebody waits for an answer."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.engine.melodies import cut, tune

USE = """
import sys
from pathlib import Path
import numpy as np
from pipeline.engine.catalogue import Catalogue
with Catalogue.open(Path(sys.argv[1])) as catalogue:
    {what}
"""


def kept_after(what: str, *arguments: Path, cache: Path) -> set[str]:
    """The compiled loops that are kept once a process of its own has done that."""
    subprocess.run(
        [sys.executable, "-c", USE.format(what=what), *arguments],
        env={**os.environ, "NUMBA_CACHE_DIR": str(cache)},
        check=True,
    )
    return {path.name for path in cache.rglob("*.nbc")}


@pytest.mark.slow
def test_the_first_search_after_a_warm_up_compiles_nothing(three: Path, tmp_path: Path) -> None:
    probe, cache = tmp_path / "probe.npy", tmp_path / "compiled"
    np.save(probe, cut(tune(1), 8.765, 5))

    warm = kept_after("catalogue.warm_up()", three, cache=cache)
    searched = kept_after(
        "assert len(catalogue.search(np.load(sys.argv[2]))) == 1", three, probe, cache=cache
    )

    assert warm
    assert searched == warm

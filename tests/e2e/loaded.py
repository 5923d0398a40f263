"""Imported by the process that `tests.e2e.forked` forks: all that a run loads, the engine's compiled parts too."""

from __future__ import annotations

import numpy as np

import pipeline.cli.app
import pipeline.report.writers  # noqa: F401
from pipeline.batch.reuse import make_print
from pipeline.model import RATE_HZ, Probe

make_print(Probe(np.random.default_rng(0).integers(-9000, 9000, 5 * RATE_HZ).astype(np.int16)))

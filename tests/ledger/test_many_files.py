"""A ledger of many files is read and carried on in the memory of a small one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bench.ledger import generate
from tests.conftest import ROOT


def peak_mb(part: str, state: Path, files: int) -> float:
    command = [sys.executable, "-m", "bench.ledger", "--part", part, "--state", state, "--files", str(files)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, check=True, capture_output=True, cwd=ROOT, env=environment, timeout=250)
    return float(json.loads(done.stdout)[2])


@pytest.mark.slow
def test_a_hundred_thousand_files_take_no_more_memory_than_ten_thousand(tmp_path: Path) -> None:
    generate(tmp_path / "few", 10_000, prints=100)
    generate(tmp_path / "many", 100_000, prints=1000)
    for part in ("open", "resume", "report", "recall"):
        few, many = peak_mb(part, tmp_path / "few", 10_000), peak_mb(part, tmp_path / "many", 100_000)
        assert many < few + 15, (part, few, many)

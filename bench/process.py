"""What processes and cores use, as Linux counts it in /proc."""

from __future__ import annotations

import os
import re
from pathlib import Path


def family(pid: int) -> list[int]:
    """The process and its descendants."""
    found = [pid]
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == pid:
            found += family(int(path.parent.name))
    return found


def memory_mb(pid: int) -> float:
    """Private memory (anonymous pages) of a process and its descendants: mapped shards are the page cache's."""
    total_kb = 0
    for each in family(pid):
        lines = Path(f"/proc/{each}/status").read_text().splitlines()
        total_kb += sum(int(line.split()[1]) for line in lines if line.startswith("RssAnon:"))
    return total_kb / 1024


def busy_s() -> list[float]:
    """Of each core: the seconds it was not idle, whoever used them."""
    lines = Path("/proc/stat").read_text().splitlines()
    rows = [[int(field) for field in line.split()[1:]] for line in lines if re.match(r"cpu\d", line)]
    # user, nice, system, idle, iowait, irq, softirq, steal
    return [(sum(row[:3]) + sum(row[5:8])) / os.sysconf("SC_CLK_TCK") for row in rows]


def cpu_s(pid: int) -> float:
    total = 0.0
    for each in family(pid):
        fields = Path(f"/proc/{each}/stat").read_text().rpartition(")")[2].split()
        total += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return total

"""All benchmarks, one after the other: `make bench`, or `make bench ARGS=overlap` for one of them."""

from __future__ import annotations

import argparse
import subprocess
import sys

BENCHMARKS = {
    "convert": "decoding: CPU, files a second and memory, beside decoding alone and the document's own way",
    "engine": "fingerprints and queries: times real time, milliseconds, bytes an hour",
    "folder": "from a folder to answers beside fpcalc; memory from 50 files to 5,000",
    "ledger": "a ledger of 100,000 files: opening, resuming, reporting, looking audio up by its sound",
    "serve": "the self-hosted service: one client, 50 clients for a minute, and a kill -9 in the middle",
    "overlap": "60 files at a service that takes 3 s each, beside the ideal and the document's script",
}


def main() -> None:
    listed = "\n".join(f"  {name:9} {what}" for name, what in BENCHMARKS.items())
    parser = argparse.ArgumentParser(
        prog="python -m bench", description=__doc__, epilog=listed,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("names", nargs="*", choices=[[], *BENCHMARKS], help="which; all without one")
    failed = [name for name in parser.parse_args().names or BENCHMARKS if not ran(name)]
    sys.exit(f"failed: {', '.join(failed)}" if failed else 0)


def ran(name: str) -> bool:
    """Run one benchmark in a process of its own, so that none leaves another a warm start."""
    print(f"\n== {name}: {BENCHMARKS[name]}", flush=True)
    return subprocess.run([sys.executable, "-m", f"bench.{name}"], check=False).returncode == 0


if __name__ == "__main__":
    main()

"""Where ledger and catalogue live when nobody said."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs

from pipeline.errors import UsageError


def default_state_folder() -> Path:
    """The platform's state folder, or one in /var/tmp where the home cannot be written; made if need be.

    /var/tmp and not /tmp: what was paid for must outlive a restart. Raises UsageError if neither will do.
    """
    home_known = os.environ.get("HOME") or os.environ.get("XDG_STATE_HOME")
    if home_known and _made(home := platformdirs.user_state_path("earmark")):
        return home
    spare = Path("/var/tmp") / f"earmark-{os.getuid()}"  # noqa: S108 -- whose it is, is checked
    if _made(spare) and _ours_alone(spare):
        return spare
    raise UsageError(
        f"no folder for the ledger: neither the home folder nor {spare} is yours to write to",
        hint="name one with --state DIR or EARMARK_STATE",
    )


def _made(folder: Path) -> bool:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError:
        return False
    return os.access(folder, os.W_OK | os.X_OK)


def _ours_alone(folder: Path) -> bool:
    found = folder.lstat()
    return not folder.is_symlink() and found.st_uid == os.getuid() and not found.st_mode & 0o022

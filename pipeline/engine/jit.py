"""The one way this package compiles a loop."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba

log = logging.getLogger(__name__)

Loop = TypeVar("Loop", bound=Callable[..., Any])


def compiled(loop: Loop) -> Loop:
    """Compile a loop over arrays at its first call, without the interpreter's lock, and keep the machine code.

    Numba keeps the code beside the source file or, failing that, in the user's cache folder; with neither writable
    every process compiles again. It notices a change of the loop's own file only: a compiled loop takes constants
    of other files as arguments, never as globals. No loop here ever meets a NaN, so `max` need not look for one, nor
    divides integers by nothing, so a division need not look for that either. Room to work in is handed in as well: each
    kind of array that a loop makes for itself costs its first compilation a tenth of a second.
    """
    options = {"nogil": True, "fastmath": {"nnan"}, "error_model": "numpy"}
    try:
        return cast(Loop, numba.njit(cache=True, **options)(loop))
    except RuntimeError as error:
        log.warning("compiled code cannot be kept loop=%s reason=%s", loop.__name__, error)
        return cast(Loop, numba.njit(**options)(loop))

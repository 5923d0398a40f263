"""Fails the calls of the system that SQLite makes by itself, out of Python's sight, through its own door for that.

`sqlite3_vfs.xSetSystemCall` (https://www.sqlite.org/c3ref/vfs.html) exists "for use by test procedures".
"""

import _sqlite3
import atexit
import ctypes
import errno

FAILABLE = {
    "sqlite_write": (b"pwrite", b"pwrite64", b"write"),
    "sqlite_read": (b"pread", b"pread64", b"read"),
}
"""Kinds of faults, and the calls they fail; a build of SQLite makes one of each kind's."""

_AT_AN_OFFSET = ctypes.CFUNCTYPE(
    ctypes.c_ssize_t, ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int64, use_errno=True
)
_IN_SEQUENCE = ctypes.CFUNCTYPE(
    ctypes.c_ssize_t, ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t, use_errno=True
)
_GET = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p, ctypes.c_char_p)
_SET = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p)

_kept = []
"""What SQLite calls must outlive this function."""


class _Vfs(ctypes.Structure):
    _fields_ = (
        ("iVersion", ctypes.c_int),
        ("szOsFile", ctypes.c_int),
        ("mxPathname", ctypes.c_int),
        ("pNext", ctypes.c_void_p),
        ("zName", ctypes.c_char_p),
        ("pAppData", ctypes.c_void_p),
        ("methods_of_versions_1_and_2", ctypes.c_void_p * 13),
        ("xSetSystemCall", ctypes.c_void_p),
        ("xGetSystemCall", ctypes.c_void_p),
    )


def install(kind, strikes, code):
    """Let the calls of a kind fail where `strikes` says so."""
    library = ctypes.CDLL(_sqlite3.__file__)
    library.sqlite3_vfs_find.restype = ctypes.c_void_p
    library.sqlite3_vfs_find.argtypes = [ctypes.c_char_p]
    address = library.sqlite3_vfs_find(None)
    vfs = _Vfs.from_address(address)
    known, replace = _GET(vfs.xGetSystemCall), _SET(vfs.xSetSystemCall)
    for name in FAILABLE[kind]:
        if pointer := known(address, name):
            shape = _AT_AN_OFFSET if name.startswith(b"p") else _IN_SEQUENCE
            failing = shape(_failing(shape(pointer), strikes, code))
            _kept.append(failing)
            replace(address, name, ctypes.cast(failing, ctypes.c_void_p))
            atexit.register(replace, address, name, None)


def _failing(call, strikes, code):
    def instead(*arguments):
        if strikes():
            ctypes.set_errno(getattr(errno, code))
            return -1
        ctypes.set_errno(0)
        return call(*arguments)

    return instead

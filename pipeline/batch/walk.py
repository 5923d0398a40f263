"""Find the files a run is about: every sound file below the paths given, in an order that never changes.

Only one folder's listing a level is held in memory, however many files there are.
"""

from __future__ import annotations

import fnmatch
import os
import re
import stat
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import BinaryIO

from pipeline.audio import EXTENSIONS
from pipeline.errors import UsageError
from pipeline.model import SourceFile

OnTrouble = Callable[[str, str], None]
"""Told the shown path of what was passed over, and why."""

_Identity = tuple[int, int]

_SUFFIXES = tuple(b"." + extension.encode() for extension in sorted(EXTENSIONS))


def walk(
    roots: Sequence[str | bytes],
    *,
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    on_trouble: OnTrouble,
) -> Iterator[SourceFile]:
    """Every sound file below `roots`, folders in the order given, names in each folder sorted by their bytes.

    A file given by name is taken whatever its extension. Hidden files and folders are passed over unless
    given. Links to files are followed; a link to a folder is followed once, and only if the folder is not
    walked anyway. Of overlapping roots each file belongs to the innermost. With one folder the shown path is
    relative to it; with several roots it begins with the root's name, or as many of its parents as tell the
    roots apart. Patterns ignore case; `*` also crosses `/`; a folder that `exclude` matches is not entered.
    A root that is not there is told to `on_trouble`; when none is there, UsageError is raised at once.
    """
    return _Walk(_Patterns.of(include), _Patterns.of(exclude), on_trouble).through(_opened(roots, on_trouble))


def paths_from(stream: BinaryIO) -> list[bytes]:
    """The paths listed on a stream: separated by NUL if there is one (`find -print0`), else by newlines."""
    listed = stream.read()
    return [path for path in listed.split(b"\0" if b"\0" in listed else b"\n") if path]


@dataclass(frozen=True, slots=True)
class _Root:
    path: bytes
    real_path: bytes
    identity: _Identity
    is_folder: bool
    label: bytes


def _opened(roots: Sequence[str | bytes], on_trouble: OnTrouble) -> list[_Root]:
    """The roots, each once, with the names they are shown by."""
    found: dict[bytes, tuple[bytes, _Identity, bool]] = {}
    unusable: list[tuple[bytes, UsageError]] = []
    for root in roots:
        path = os.path.abspath(os.fsencode(root))  # noqa: PTH100 -- bytes
        try:
            identity, is_folder = _looked_at(path)
        except UsageError as error:
            unusable.append((path, error))
        else:
            found.setdefault(os.path.realpath(path), (path, identity, is_folder))
    if unusable and not found:
        raise unusable[0][1]
    for path, reason in unusable:
        on_trouble(_shown(path), reason.message.removeprefix(f"{_shown(path)} "))
    labels = _labels([path for path, _, _ in found.values()])
    return [
        _Root(path, real_path, identity, is_folder, label)
        for (real_path, (path, identity, is_folder)), label in zip(found.items(), labels, strict=True)
    ]


def _looked_at(path: bytes) -> tuple[_Identity, bool]:
    """Which file or folder this is, and whether it is a folder. Raises UsageError when it is neither."""
    if b"\0" in path:
        raise UsageError(f"no file is called {_shown(path)!r}", hint="check the path")
    try:
        status = os.stat(path)  # noqa: PTH116
    except OSError as error:
        raise UsageError(f"{_shown(path)} cannot be read: {error.strerror}", hint="check the path") from error
    is_folder = stat.S_ISDIR(status.st_mode)
    if not is_folder and not stat.S_ISREG(status.st_mode):
        raise UsageError(
            f"{_shown(path)} is neither a file nor a folder", hint="give music or a folder of it"
        )
    return (status.st_dev, status.st_ino), is_folder


def _labels(paths: Sequence[bytes]) -> list[bytes]:
    """The shortest ends of paths of which none is another, nor the beginning of another."""
    parts = [path.strip(b"/").split(b"/") for path in paths]
    depths = [1] * len(paths)
    while True:
        labels = [b"/".join(names[-depth:]) for names, depth in zip(parts, depths, strict=True)]
        owners: dict[bytes, list[int]] = {}
        for number, label in enumerate(labels):
            owners.setdefault(label, []).append(number)
        clashing: set[int] = set()
        for label, numbers in owners.items():
            if len(numbers) > 1:
                clashing.update(numbers)
            end = label.rfind(b"/")
            while end > 0:
                above = owners.get(label[:end], [])
                clashing.update(above, numbers if above else [])
                end = label.rfind(b"/", 0, end)
        growing = [number for number in clashing if depths[number] < len(parts[number])]
        if not growing:
            return labels
        for number in growing:
            depths[number] += 1


@dataclass(frozen=True, slots=True)
class _Patterns:
    """Globs on the shown path, or on the name where the pattern holds no slash."""

    on_name: tuple[re.Pattern[str], ...]
    on_path: tuple[re.Pattern[str], ...]

    @classmethod
    def of(cls, globs: Sequence[str]) -> _Patterns:
        trimmed = [glob.rstrip("/") for glob in globs]
        compiled = [(glob, re.compile(fnmatch.translate(glob), re.IGNORECASE)) for glob in trimmed if glob]
        return cls(
            tuple(pattern for glob, pattern in compiled if "/" not in glob),
            tuple(pattern for glob, pattern in compiled if "/" in glob),
        )

    def __bool__(self) -> bool:
        return bool(self.on_name or self.on_path)

    def match(self, shown_path: str) -> bool:
        name = shown_path.rpartition("/")[2]
        return any(p.match(name) for p in self.on_name) or any(p.match(shown_path) for p in self.on_path)


@dataclass(slots=True)
class _Folder:
    """A folder being walked: what is left of its listing, and who it is."""

    path: bytes
    shown: bytes
    identity: _Identity
    names: list[tuple[bytes, bool]]
    """Names yet to come, last first, and whether each is a folder."""


@dataclass(slots=True)
class _Walk:
    include: _Patterns
    exclude: _Patterns
    on_trouble: OnTrouble
    taken: set[_Identity] = field(default_factory=set)
    """Roots, and folders reached through links: walked in their own right, wherever else they turn up."""
    taken_paths: set[bytes] = field(default_factory=set)
    """The same by their real paths."""

    def through(self, roots: list[_Root]) -> Iterator[SourceFile]:
        self.taken.update(root.identity for root in roots)
        self.taken_paths.update(root.real_path for root in roots)
        for root in roots:
            if root.is_folder:
                yield from self._below(root, b"" if len(roots) == 1 else root.label)
            elif self._wanted(shown := _shown(root.label)):
                yield from self._file(root.path, shown, given=True)

    def _below(self, root: _Root, shown: bytes) -> Iterator[SourceFile]:
        # A stack and not recursion: folders can be nested deeper than Python calls.
        stack = [_Folder(root.path, shown, root.identity, self._listing(root.path, shown))]
        while stack:
            folder = stack[-1]
            if not folder.names:
                stack.pop()
                continue
            name, is_folder = folder.names.pop()
            path = os.path.join(folder.path, name)  # noqa: PTH118
            shown_bytes = folder.shown + b"/" + name if folder.shown else name
            if not is_folder:
                if self._wanted(shown_path := _shown(shown_bytes)):
                    yield from self._file(path, shown_path, given=False)
            elif not self.exclude.match(_shown(shown_bytes)):
                inner = self._entered(path, shown_bytes, stack)
                if inner is not None:
                    stack.append(inner)

    def _listing(self, path: bytes, shown: bytes) -> list[tuple[bytes, bool]]:
        names: list[tuple[bytes, bool]] = []
        try:
            with os.scandir(path) as entries:
                for entry in entries:
                    if entry.name.startswith(b"."):
                        continue
                    if _is_folder(entry):
                        names.append((entry.name, True))
                    elif entry.name.lower().endswith(_SUFFIXES):
                        names.append((entry.name, False))
        except OSError as error:
            # What was listed before the failure is still good.
            self._trouble(shown or path, f"the folder cannot be read: {error.strerror}")
        names.sort(reverse=True)
        return names

    def _entered(self, path: bytes, shown: bytes, stack: list[_Folder]) -> _Folder | None:
        """The folder at `path`, unless it is or will be walked by another way."""
        try:
            is_link = stat.S_ISLNK(os.lstat(path).st_mode)
            status = os.stat(path)  # noqa: PTH116
        except OSError as error:
            self._trouble(shown, f"the folder cannot be read: {error.strerror}")
            return None
        identity = (status.st_dev, status.st_ino)
        if identity in self.taken or any(folder.identity == identity for folder in stack):
            return None
        if is_link:
            real_path = os.path.realpath(path)
            if self._comes_by_itself(real_path):
                return None
            self.taken.add(identity)
            self.taken_paths.add(real_path)
        return _Folder(path, shown, identity, self._listing(path, shown))

    def _comes_by_itself(self, real_path: bytes) -> bool:
        """Whether a folder lies below one that is walked, with no hidden folder in between."""
        above, _, name = real_path.rpartition(b"/")
        while name and not name.startswith(b"."):
            if (above or b"/") in self.taken_paths:
                return True
            above, _, name = above.rpartition(b"/")
        return False

    def _wanted(self, shown_path: str) -> bool:
        if self.include and not self.include.match(shown_path):
            return False
        return not self.exclude.match(shown_path)

    def _file(self, path: bytes, shown_path: str, *, given: bool) -> Iterator[SourceFile]:
        try:
            status = os.stat(path)  # noqa: PTH116
        except OSError as error:
            self.on_trouble(shown_path, f"the file cannot be read: {error.strerror}")
            return
        if not stat.S_ISREG(status.st_mode):
            self.on_trouble(shown_path, "it is a device, pipe or socket, not a file")
            return
        # The identity alone would not do: a hard link to a file given by name is a file of its own.
        taken = (status.st_dev, status.st_ino) in self.taken and os.path.realpath(path) in self.taken_paths
        if given or not taken:
            yield SourceFile(path, shown_path, status.st_size, status.st_mtime_ns)

    def _trouble(self, shown: bytes, why: str) -> None:
        self.on_trouble(_shown(shown), why)


def _is_folder(entry: os.DirEntry[bytes]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        # A link that loops or leads where we may not look: reported as a file if it is named like one.
        return False


def _shown(path: bytes) -> str:
    return os.fsdecode(path)

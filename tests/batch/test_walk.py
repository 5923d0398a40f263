"""The walk finds every sound file once, in a steady order, whatever the folder is like."""

from __future__ import annotations

import io
import os
import subprocess
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.batch.walk import paths_from, walk
from pipeline.errors import UsageError

Tree = Callable[..., Path]


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    def plant(*names: str) -> Path:
        for name in names:
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"x")
        return tmp_path

    return plant


def shown(*roots: Path | bytes | str, **options: tuple[str, ...]) -> list[str]:
    """What a walk without trouble yields."""
    given = [root if isinstance(root, bytes) else str(root) for root in roots]
    return [file.shown_path for file in walk(given, on_trouble=no_trouble, **options)]


def no_trouble(path: str, why: str) -> None:
    raise AssertionError(f"{path}: {why}")


def test_sound_files_come_in_the_order_of_their_bytes(tree: Tree) -> None:
    root = tree("b.mp3", "a/2.flac", "a/10.ogg", "Z.wav", "é.m4a", "a.b/x.opus", "cover.jpg", "notes.txt")
    assert shown(root) == ["Z.wav", "a/10.ogg", "a/2.flac", "a.b/x.opus", "b.mp3", "é.m4a"]


def test_every_documented_extension_in_any_case_is_sound(tree: Tree) -> None:
    table = "wma wav opus ogg mp3 mp2 m4a flac amr alac aiff aif aac 3gpp 3gp"
    documented = table.split()
    names = [f"song.{extension}" for extension in documented] + [f"LOUD.{e.upper()}" for e in documented]
    containers = "mp4 mkv webm mov avi mka oga spx wv ape mpg ts flv"
    others = [f"film.{extension}" for extension in containers.split()]
    assert shown(tree(*names, *others)) == sorted(names + others)


def test_size_and_time_are_those_of_the_file(tree: Tree) -> None:
    root = tree("a.mp3")
    (root / "a.mp3").write_bytes(b"12345")
    os.utime(root / "a.mp3", ns=(1, 1_700_000_000_123_456_789))
    (file,) = walk([str(root)], on_trouble=no_trouble)
    assert (file.size_bytes, file.mtime_ns) == (5, 1_700_000_000_123_456_789)
    assert file.path == os.fsencode(root / "a.mp3")


def test_an_empty_file_is_yielded_too(tree: Tree) -> None:
    (tree("a.mp3") / "a.mp3").write_bytes(b"")
    assert shown(tree()) == ["a.mp3"]


def test_hidden_things_are_passed_over_unless_named(tree: Tree) -> None:
    root = tree("a.mp3", "._a.mp3", ".secret/b.mp3", ".c.mp3")
    assert shown(root) == ["a.mp3"]
    assert shown(root / ".secret") == ["b.mp3"]
    assert shown(root / ".c.mp3") == [".c.mp3"]


def test_a_file_that_is_named_is_taken_whatever_its_extension(tree: Tree) -> None:
    assert shown(tree("take.this") / "take.this") == ["take.this"]


def test_names_of_any_bytes_are_found(tmp_path: Path) -> None:
    names = [b"new\nline.mp3", b"latin \xe9.mp3", b"\xff\xfe.mp3", b"%s {} \\.mp3"]
    for name in names:
        Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name)).touch()
    found = list(walk([os.fsencode(tmp_path)], on_trouble=no_trouble))
    assert [file.path.rpartition(b"/")[2] for file in found] == sorted(names)
    assert [os.fsencode(file.shown_path) for file in found] == sorted(names)
    assert all(Path(file.fs_path).exists() for file in found)


def test_links_to_files_are_followed(tree: Tree, tmp_path: Path) -> None:
    root = tree("music/a.mp3", "elsewhere/b.mp3") / "music"
    (root / "link.mp3").symlink_to(tmp_path / "elsewhere/b.mp3")
    assert shown(root) == ["a.mp3", "link.mp3"]


def test_a_link_to_a_folder_is_followed_once(tree: Tree, tmp_path: Path) -> None:
    root = tree("music/a.mp3", "elsewhere/b.mp3", "elsewhere/inner/c.mp3") / "music"
    (root / "one").symlink_to(tmp_path / "elsewhere")
    (root / "two").symlink_to(tmp_path / "elsewhere")
    (root / "three").symlink_to(tmp_path / "elsewhere/inner")
    assert shown(root) == ["a.mp3", "one/b.mp3", "one/inner/c.mp3"]
    (root / "also").symlink_to(tmp_path / "elsewhere/inner")
    assert shown(root) == ["a.mp3", "also/c.mp3", "one/b.mp3"]


def test_hard_links_are_files_of_their_own(tree: Tree) -> None:
    root = tree("a.mp3", "b.mp3")
    os.link(root / "a.mp3", root / "c.mp3")
    assert shown(root) == ["a.mp3", "b.mp3", "c.mp3"]
    assert shown(root / "a.mp3", root / "c.mp3") == ["a.mp3", "c.mp3"]
    assert len(shown(root, root / "a.mp3")) == 3


def test_links_that_loop_end(tree: Tree, tmp_path: Path) -> None:
    root = tree("music/deep/a.mp3", "elsewhere/b.mp3") / "music"
    (root / "deep/up").symlink_to(root)
    (root / "deep/self").symlink_to(root / "deep")
    (root / "out").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere/back").symlink_to(root)
    (tmp_path / "elsewhere/again").symlink_to(tmp_path / "elsewhere")
    assert shown(root) == ["deep/a.mp3", "out/b.mp3"]


def test_a_link_into_the_tree_itself_brings_nothing_twice(tree: Tree) -> None:
    root = tree("z/a.mp3", ".store/b.mp3")
    (root / "a-link").symlink_to(root / "z")
    (root / "b-link").symlink_to(root / ".store")
    assert shown(root) == ["b-link/b.mp3", "z/a.mp3"]


def test_links_to_nowhere_are_told_and_passed_over(tree: Tree) -> None:
    root = tree("a.mp3")
    (root / "broken.mp3").symlink_to(root / "nowhere")
    (root / "loop.mp3").symlink_to(root / "loop.mp3")
    troubles: list[tuple[str, str]] = []
    found = list(walk([str(root)], on_trouble=lambda path, why: troubles.append((path, why))))
    assert [file.shown_path for file in found] == ["a.mp3"]
    assert troubles == [
        ("broken.mp3", "the file cannot be read: No such file or directory"),
        ("loop.mp3", "the file cannot be read: Too many levels of symbolic links"),
    ]


def test_a_pipe_named_like_music_is_told_and_passed_over(tree: Tree) -> None:
    root = tree("a.mp3")
    os.mkfifo(root / "pipe.mp3")
    troubles: list[tuple[str, str]] = []
    list(walk([str(root)], on_trouble=lambda path, why: troubles.append((path, why))))
    assert troubles == [("pipe.mp3", "it is a device, pipe or socket, not a file")]


def test_a_folder_that_cannot_be_read_is_told_and_passed_over(
    tree: Tree, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tree("a/1.mp3", "b/2.mp3", "c/3.mp3")
    scandir = os.scandir

    def refusing(path: bytes) -> object:
        if path.endswith(b"/b"):
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    # The suite may run as root, whom no permission stops.
    monkeypatch.setattr("pipeline.batch.walk.os.scandir", refusing)
    troubles: list[tuple[str, str]] = []
    found = list(walk([str(root)], on_trouble=lambda path, why: troubles.append((path, why))))
    assert [file.shown_path for file in found] == ["a/1.mp3", "c/3.mp3"]
    assert troubles == [("b", "the folder cannot be read: Permission denied")]


def test_a_missing_root_is_an_error_before_the_first_file(tree: Tree) -> None:
    root = tree("a.mp3")
    with pytest.raises(UsageError) as caught:
        walk([str(root / "gone")], on_trouble=no_trouble)
    assert str(caught.value) == f"{root}/gone cannot be read: No such file or directory; check the path"


def test_a_device_as_root_is_an_error() -> None:
    with pytest.raises(UsageError, match="/dev/null is neither a file nor a folder"):
        walk(["/dev/null"], on_trouble=no_trouble)


def test_several_roots_show_their_names(tree: Tree) -> None:
    root = tree("rock/a.mp3", "jazz/a.mp3", "single.mp3")
    assert shown(root / "rock", root / "jazz", root / "single.mp3") == [
        "rock/a.mp3",
        "jazz/a.mp3",
        "single.mp3",
    ]


def test_roots_of_the_same_name_show_enough_of_their_parents(tree: Tree) -> None:
    root = tree("x/Music/a.mp3", "y/Music/a.mp3", "z/a.mp3")
    assert shown(root / "x/Music", root / "y/Music", root / "z") == [
        "x/Music/a.mp3",
        "y/Music/a.mp3",
        "z/a.mp3",
    ]


def test_no_two_files_share_a_shown_path(tree: Tree) -> None:
    root = tree("1/a/Music/x.mp3", "a/Music/x.mp3", "b/Music/x.mp3")
    paths = shown(root / "1/a", root / "a/Music", root / "b/Music")
    assert len(paths) == len(set(paths)) == 3


def test_overlapping_roots_bring_each_file_once(tree: Tree) -> None:
    root = tree("a.mp3", "in/b.mp3", "in/deep/c.mp3")
    files = [file.path for file in walk([str(root), str(root / "in"), str(root)], on_trouble=no_trouble)]
    assert sorted(files) == [os.fsencode(root / name) for name in ("a.mp3", "in/b.mp3", "in/deep/c.mp3")]
    files = [file.path for file in walk([str(root), str(root / "in/b.mp3")], on_trouble=no_trouble)]
    assert len(files) == len(set(files)) == 3


def test_include_and_exclude_pick_by_name_or_by_path(tree: Tree) -> None:
    root = tree("live/a.mp3", "live/b.flac", "studio/a.mp3", "studio/deep/C.MP3")
    assert shown(root, include=("*.mp3",)) == ["live/a.mp3", "studio/a.mp3", "studio/deep/C.MP3"]
    assert shown(root, include=("studio/*",)) == ["studio/a.mp3", "studio/deep/C.MP3"]
    assert shown(root, exclude=("live",)) == ["studio/a.mp3", "studio/deep/C.MP3"]
    assert shown(root, exclude=("deep/", "*.flac")) == ["live/a.mp3", "studio/a.mp3"]
    assert shown(root, include=("a.*",), exclude=("studio/*",)) == ["live/a.mp3"]


def test_an_excluded_folder_is_not_even_read(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tree("big/1.mp3", "small/1.mp3")
    read: list[bytes] = []
    scandir = os.scandir
    monkeypatch.setattr("pipeline.batch.walk.os.scandir", lambda path: read.append(path) or scandir(path))
    assert shown(root, exclude=("big",)) == ["small/1.mp3"]
    assert [path.rpartition(b"/")[2] for path in read] == [root.name.encode(), b"small"]


@settings(max_examples=30)
@given(
    st.sets(
        st.tuples(st.sampled_from("abc"), st.sampled_from("abc"), st.sampled_from(["x", "y"])), max_size=12
    )
)
def test_any_tree_is_walked_completely(
    tmp_path_factory: pytest.TempPathFactory, paths: set[tuple[str, str, str]]
) -> None:
    root = tmp_path_factory.mktemp("tree")
    for first, second, name in paths:
        (root / first / second).mkdir(parents=True, exist_ok=True)
        (root / first / second / f"{name}.mp3").touch()
    assert shown(root) == sorted(f"{first}/{second}/{name}.mp3" for first, second, name in paths)


def test_of_a_list_of_paths_one_that_vanished_is_a_trouble_and_the_others_are_walked(tmp_path: Path) -> None:
    (tmp_path / "a.mp3").touch()
    troubles: list[tuple[str, str]] = []
    roots = [str(tmp_path / "gone.mp3"), str(tmp_path / "a.mp3")]
    found = list(walk(roots, on_trouble=lambda path, message: troubles.append((path, message))))
    assert [source.shown_path for source in found] == ["a.mp3"]
    ((path, message),) = troubles
    assert path.endswith("gone.mp3")
    assert "No such file or directory" in message


def test_folders_nested_deeper_than_python_can_call_are_walked(tmp_path: Path) -> None:
    here = os.open(tmp_path, os.O_RDONLY)
    try:
        for _ in range(1200):
            os.mkdir("d", dir_fd=here)
            below = os.open("d", os.O_RDONLY, dir_fd=here)
            os.close(here)
            here = below
        os.close(os.open("a.mp3", os.O_CREAT | os.O_WRONLY, dir_fd=here))
    finally:
        os.close(here)
    try:
        assert shown(tmp_path) == ["d/" * 1200 + "a.mp3"]
    finally:
        # Python's own rmtree, which clears the temporary folders later, cannot go so deep.
        subprocess.run(["rm", "-rf", str(tmp_path / "d")], check=True, timeout=60)


def _peak_bytes(root: Path) -> tuple[int, int]:
    tracemalloc.start()
    try:
        count = sum(1 for _ in walk([str(root)], on_trouble=no_trouble))
        return count, tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_memory_does_not_grow_with_the_number_of_files(tmp_path: Path) -> None:
    for folder in range(60):
        (tmp_path / "many" / f"{folder:03}").mkdir(parents=True)
        for number in range(100):
            (tmp_path / "many" / f"{folder:03}" / f"{number:03}.mp3").touch()
    # The least of three: what other threads of the process allocate meanwhile is counted too.
    few, few_bytes = min(_peak_bytes(tmp_path / "many" / "000") for _ in range(3))
    many, many_bytes = min(_peak_bytes(tmp_path / "many") for _ in range(3))
    assert (few, many) == (100, 6000)
    assert many_bytes < few_bytes + 60_000


@pytest.mark.parametrize(
    ("listed", "expected"),
    [
        (b"a.mp3\nb c.mp3\n", [b"a.mp3", b"b c.mp3"]),
        (b"a\nb.mp3\0c.mp3\0", [b"a\nb.mp3", b"c.mp3"]),
        (b"\n\nlast \xff.mp3", [b"last \xff.mp3"]),
        (b"", []),
    ],
)
def test_a_list_of_paths_is_split_by_nul_or_by_newline(listed: bytes, expected: list[bytes]) -> None:
    assert paths_from(io.BytesIO(listed)) == expected

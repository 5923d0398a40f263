"""An earlier answer stands as long as asking again would give the same, and not a run longer."""

from dataclasses import dataclass, field, replace

import pytest

from pipeline.batch.standing import stands
from pipeline.errors import TokenLost
from pipeline.ledger import KnownAnswer
from pipeline.model import FileStatus, Probe, Recognition, SourceFile, Status

SOURCE = SourceFile(b"/music/a.mp3", "a.mp3", 1000, 123)
MANNER = "probe segment=15"


@dataclass
class Ear:
    """A recognizer as far as standing looks at it."""

    name: str = "catalogue"
    paid: bool = False
    edition: str = "g1"
    tracks: set[str] = field(default_factory=lambda: {"t1", "t2"})

    def identify(self, probe: Probe) -> Recognition:
        return Recognition(Status.NOT_FOUND)

    def result(self, token: str) -> Recognition:
        raise TokenLost("no token was given")

    def still_names(self, track_id: str) -> bool:
        return self.paid or track_id in self.tracks


CATALOGUE = Ear()
AUDIOTAG = Ear("audiotag", paid=True, edition="")

FOUND = KnownAnswer(
    1,
    1000,
    123,
    MANNER,
    {"catalogue": "g1", "audiotag": ""},
    FileStatus.FOUND,
    frozenset({("catalogue", "t1")}),
    0,
    0,
)
NOT_FOUND = replace(FOUND, status=FileStatus.NOT_FOUND, named=frozenset())
MIX = replace(FOUND, named=frozenset({("catalogue", "t1"), ("catalogue", "t2"), ("audiotag", "9")}))


def stand(known: KnownAnswer | None, *ears: Ear, source: SourceFile = SOURCE, manner: str = MANNER) -> bool:
    return stands(known, source, manner=manner, recognizers=ears or (CATALOGUE, AUDIOTAG))


@pytest.mark.parametrize("known", [FOUND, NOT_FOUND, MIX])
def test_what_was_asked_of_the_same_ears_stands(known: KnownAnswer) -> None:
    assert stand(known)


def test_without_an_answer_nothing_stands() -> None:
    assert not stand(None)


@pytest.mark.parametrize("status", [*FileStatus])
def test_another_file_or_another_manner_is_asked_again_whatever_was_answered(status: FileStatus) -> None:
    known = replace(FOUND, status=status)
    assert not stand(known, source=replace(SOURCE, size_bytes=999))
    assert not stand(known, source=replace(SOURCE, mtime_ns=124))
    assert not stand(known, manner="full segment=15")


@pytest.mark.parametrize("status", [FileStatus.PENDING, FileStatus.FAILED, FileStatus.UNREADABLE])
def test_what_has_no_answer_is_tried_again(status: FileStatus) -> None:
    assert not stand(replace(NOT_FOUND, status=status))


@pytest.mark.parametrize("status", [FileStatus.TOO_SHORT, FileStatus.SILENT, FileStatus.NO_AUDIO])
def test_what_nobody_was_needed_for_stands_whoever_is_asked(status: FileStatus) -> None:
    assert stand(replace(NOT_FOUND, status=status, asked={}), Ear(edition="g9"))


def test_a_removed_track_is_not_named_any_more() -> None:
    assert not stand(FOUND, Ear(tracks={"t2"}), AUDIOTAG)


def test_a_track_added_elsewhere_leaves_a_found_song_alone() -> None:
    assert stand(FOUND, Ear(edition="g2"), AUDIOTAG)


def test_an_answer_of_a_recognizer_that_is_not_asked_is_not_used() -> None:
    assert not stand(FOUND, AUDIOTAG)


def test_what_was_not_found_is_tried_again_when_the_catalogue_has_changed_or_another_is_asked() -> None:
    assert not stand(NOT_FOUND, Ear(edition="g2"), AUDIOTAG)
    assert not stand(NOT_FOUND, CATALOGUE, AUDIOTAG, Ear("https://other.example/api", paid=True))
    assert stand(NOT_FOUND, CATALOGUE)


def test_a_mix_is_heard_again_when_any_of_its_tracks_was_removed() -> None:
    assert not stand(MIX, Ear(tracks={"t1"}), AUDIOTAG)
    assert not stand(MIX, CATALOGUE)
    assert stand(MIX, Ear(edition="g2"), AUDIOTAG)


def test_a_mix_with_unnamed_parts_is_heard_again_when_the_catalogue_has_changed() -> None:
    partly = replace(MIX, unnamed=3)
    assert stand(partly)
    assert not stand(partly, Ear(edition="g2"), AUDIOTAG)


def test_a_mix_with_parts_that_got_no_answer_is_asked_again() -> None:
    assert not stand(replace(MIX, unanswered=1))

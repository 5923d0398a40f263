"""The melodies of the sample music, all in the public domain, written down as notes and chords.

A token is a name and a length in beats, `F#4:1.5`; a length holds until another is given, `r` is a rest and
`|` only helps the eye. A beat is whatever `beats_per_minute` counts: a quarter, an eighth or a sixteenth.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

_SEMITONES = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}
_CHORDS = {"": (0, 4, 7), "m": (0, 3, 7), "7": (0, 4, 7, 10)}


@dataclass(frozen=True, slots=True)
class Melody:
    """A tune as it is written down; `pulse` beats make one felt beat, `bar` beats one bar."""

    title: str
    composer: str
    year: int
    beats_per_minute: float
    bar: int
    pulse: int
    notes: str
    chords: str


@dataclass(frozen=True, slots=True)
class Note:
    """Pitches sounding together from `start` for `length` beats; MIDI numbers, 60 is middle C."""

    pitches: tuple[int, ...]
    start: float
    length: float


def melody_notes(melody: Melody) -> list[Note]:
    """The tune, rests left out."""
    return [
        Note((_pitch(name),), start, length) for name, start, length in _tokens(melody.notes) if name != "r"
    ]


def chord_notes(melody: Melody) -> list[Note]:
    """The harmony: every chord in close position, root first, between E3 and D#4."""
    chords = []
    for name, start, length in _tokens(melody.chords):
        letters = 2 if name[1:2] in ("#", "b") else 1
        root = 52 + (_pitch_class(name[:letters]) - 52) % 12
        chords.append(Note(tuple(root + step for step in _CHORDS[name[letters:]]), start, length))
    return chords


def length_beats(melody: Melody) -> float:
    """How long the tune is, closing rests included."""
    return max(start + length for _, start, length in _tokens(melody.notes))


def _tokens(text: str) -> list[tuple[str, float, float]]:
    tokens: list[tuple[str, float, float]] = []
    start, length = Fraction(0), Fraction(1)
    for token in text.replace("|", " ").split():
        name, _, given = token.partition(":")
        length = Fraction(given) if given else length
        tokens.append((name, float(start), float(length)))
        start += length
    return tokens


def _pitch(name: str) -> int:
    return 12 * (int(name[-1]) + 1) + _pitch_class(name[:-1])


def _pitch_class(name: str) -> int:
    return _SEMITONES[name[0]] + name.count("#") - name.count("b")


ODE_TO_JOY = Melody(
    title="Ode to Joy",
    composer="Ludwig van Beethoven",
    year=1824,
    beats_per_minute=116,
    bar=4,
    pulse=1,
    notes="""F#4:1 F#4 G4 A4 | A4 G4 F#4 E4 | D4 D4 E4 F#4 | F#4:1.5 E4:.5 E4:2
        | F#4:1 F#4 G4 A4 | A4 G4 F#4 E4 | D4 D4 E4 F#4 | E4:1.5 D4:.5 D4:2
        | E4:1 E4 F#4 D4 | E4 F#4:.5 G4 F#4:1 D4 | E4 F#4:.5 G4 F#4:1 E4 | D4 E4 A3:2
        | F#4:1 F#4 G4 A4 | A4 G4 F#4 E4 | D4 D4 E4 F#4 | E4:1.5 D4:.5 D4:2""",
    chords="D:4 A D A7 D A D A7:2 D A:4 A A A7 D A D A7:2 D",
)

GREENSLEEVES = Melody(
    title="Greensleeves",
    composer="Traditional English",
    year=1580,
    beats_per_minute=192,
    bar=6,
    pulse=3,
    notes="""r:5 A4:1 | C5:2 D5:1 E5:1.5 F5:.5 E5:1 | D5:2 B4:1 G4:1.5 A4:.5 B4:1
        | C5:2 A4:1 A4:1.5 G#4:.5 A4:1 | B4:2 G#4:1 E4:2 A4:1 | C5:2 D5:1 E5:1.5 F5:.5 E5:1
        | D5:2 B4:1 G4:1.5 A4:.5 B4:1 | C5:1.5 B4:.5 A4:1 G#4:1.5 F#4:.5 G#4:1 | A4:6
        | G5:3 G5:1.5 F#5:.5 E5:1 | D5:2 B4:1 G4:1.5 A4:.5 B4:1 | C5:2 A4:1 A4:1.5 G#4:.5 A4:1
        | B4:2 G#4:1 E4:3 | G5:3 G5:1.5 F#5:.5 E5:1 | D5:2 B4:1 G4:1.5 A4:.5 B4:1
        | C5:1.5 B4:.5 A4:1 G#4:1.5 F#4:.5 G#4:1 | A4:6""",
    chords="Am:6 Am G Am E Am G Am:3 E Am:6 C G Am E C G Am:3 E Am:6",
)

FUR_ELISE = Melody(
    title="Für Elise",
    composer="Ludwig van Beethoven",
    year=1810,
    beats_per_minute=276,
    bar=6,
    pulse=2,
    notes="""r:4 E5:1 D#5 | E5 D#5 E5 B4 D5 C5 | A4:2 r:1 C4 E4 A4 | B4:2 r:1 E4 G#4 B4 | C5:2 r:1 E4 E5 D#5
        | E5 D#5 E5 B4 D5 C5 | A4:2 r:1 C4 E4 A4 | B4:2 r:1 E4 C5 B4 | A4:2 r:1 B4 C5 D5
        | E5:3 G4:1 F5 E5 | D5:3 F4:1 E5 D5 | C5:3 E4:1 D5 C5 | B4:2 r:1 E4 E5 r | r E5 E6 r:2 D#5:1
        | E5 r:2 D#5:1 E5 D#5 | E5 D#5 E5 B4 D5 C5 | A4:2 r:1 C4 E4 A4 | B4:2 r:1 E4 G#4 B4
        | C5:2 r:1 E4 E5 D#5 | E5 D#5 E5 B4 D5 C5 | A4:2 r:1 C4 E4 A4 | B4:2 r:1 E4 C5 B4 | A4:6""",
    chords="Am:6 Am Am E Am E Am E Am C G Am E E E Am Am E Am E Am E Am",
)

FRERE_JACQUES = Melody(
    title="Frère Jacques",
    composer="Traditional French",
    year=1780,
    beats_per_minute=104,
    bar=4,
    pulse=1,
    notes="""F4:1 G4 A4 F4 | F4 G4 A4 F4 | A4 Bb4 C5:2 | A4:1 Bb4 C5:2
        | C5:.5 D5 C5 Bb4 A4:1 F4 | C5:.5 D5 C5 Bb4 A4:1 F4 | F4 C4 F4:2 | F4:1 C4 F4:2""",
    chords="F:4 F F F F F F:1 C F:2 F:1 C F:2",
)

AH_VOUS_DIRAI_JE = Melody(
    title="Ah! vous dirai-je, maman",
    composer="Wolfgang Amadeus Mozart",
    year=1785,
    beats_per_minute=126,
    bar=4,
    pulse=1,
    notes="""C5:1 C5 G5 G5 | A5 A5 G5:2 | F5:1 F5 E5 E5 | D5 D5 C5:2
        | G5:1 G5 F5 F5 | E5 E5 D5:2 | G5:1 G5 F5 F5 | E5 E5 D5:2
        | C5:1 C5 G5 G5 | A5 A5 G5:2 | F5:1 F5 E5 E5 | D5 D5 C5:2""",
    chords="C:4 F:2 C F C G7 C C F C G7 C F C G7 C:4 F:2 C F C G7 C",
)

SCARBOROUGH_FAIR = Melody(
    title="Scarborough Fair",
    composer="Traditional English",
    year=1670,
    beats_per_minute=118,
    bar=3,
    pulse=1,
    notes="""D4:2 D4:1 | A4:2 A4:1 | E4:1.5 F4:.5 E4:1 | D4:3 | r:1 A4 C5 | D5:2 C5:1 | A4 B4 G4 | A4:3
        | r:2 D5:1 | D5:2 D5:1 | C5:2 A4:1 | A4 G4 F4 | E4 C4:2 | D4:2 A4:1 | G4:2 F4:1 | E4 D4 C4
        | D4:3 | r""",
    chords="Dm:3 Dm C Dm Dm F G Dm Dm Dm F F C Dm C C Dm Dm",
)

AULD_LANG_SYNE = Melody(
    title="Auld Lang Syne",
    composer="Traditional Scottish",
    year=1788,
    beats_per_minute=108,
    bar=4,
    pulse=1,
    notes="""r:3 D4:1 | G4:1.5 G4:.5 G4:1 B4 | A4:1.5 G4:.5 A4:1 B4 | G4:1.5 G4:.5 B4:1 D5 | E5:3 E5:1
        | D5:1.5 B4:.5 B4:1 G4 | A4:1.5 G4:.5 A4:1 B4 | G4:1.5 E4:.5 E4:1 D4 | G4:3 E5:1
        | D5:1.5 B4:.5 B4:1 G4 | A4:1.5 G4:.5 A4:1 E5 | D5:1.5 B4:.5 B4:1 D5 | E5:3 E5:1
        | D5:1.5 B4:.5 B4:1 G4 | A4:1.5 G4:.5 A4:1 B4 | G4:1.5 E4:.5 E4:1 D4 | G4:4""",
    chords="G:4 G D7 G C G D7 C:2 D G:4 G D7 G C G D7 C:2 D G:4",
)

MINUET_IN_G = Melody(
    title="Minuet in G",
    composer="Christian Petzold",
    year=1725,
    beats_per_minute=132,
    bar=3,
    pulse=1,
    notes="""D5:1 G4:.5 A4 B4 C5 | D5:1 G4 G4 | E5 C5:.5 D5 E5 F#5 | G5:1 G4 G4
        | C5 D5:.5 C5 B4 A4 | B4:1 C5:.5 B4 A4 G4 | F#4:1 G4:.5 A4 B4 G4 | B4 A4 A4:2
        | D5:1 G4:.5 A4 B4 C5 | D5:1 G4 G4 | E5 C5:.5 D5 E5 F#5 | G5:1 G4 G4
        | C5 D5:.5 C5 B4 A4 | B4:1 C5:.5 B4 A4 G4 | A4:1 B4:.5 A4 G4 F#4 | G4:3
        | B5:1 G5:.5 A5 B5 G5 | A5:1 D5:.5 E5 F#5 D5 | G5:1 E5:.5 F#5 G5 D5 | C#5:1 B4:.5 C#5 A4:1
        | A4:.5 B4 C#5 D5 E5 F#5 | G5:1 F#5 E5 | F#5 A4 C#5 | D5:3""",
    chords="G:3 G C G Am G D D G G C G Am G D7 G G D Em A A A7 D:1 A:2 D:3",
)

SWAN_LAKE = Melody(
    title="Swan Lake Theme",
    composer="Pyotr Ilyich Tchaikovsky",
    year=1876,
    beats_per_minute=100,
    bar=4,
    pulse=1,
    notes="""F#5:4 | B4:1 C#5 D5 E5 | F#5:3 D5:1 | F#5:3 D5:1 | F#5:3 B4:1 | D5 B4 G4 D5 | B4:4
        | r:2 E5:1 D5:1 | C#5:4 | F#5:4 | B4:1 C#5 D5 E5 | F#5:3 D5:1 | F#5:3 D5:1 | F#5:3 B4:1
        | D5 B4 G4 D5 | B4:4""",
    chords="Bm:4 Bm Bm G Bm G Em Em:2 A F#:4 Bm Bm Bm G Bm Em:2 G Bm:4",
)

MOUNTAIN_KING = Melody(
    title="In the Hall of the Mountain King",
    composer="Edvard Grieg",
    year=1875,
    beats_per_minute=264,
    bar=8,
    pulse=2,
    notes="""B3:1 C#4 D4 E4 F#4 D4 F#4:2 | F4:1 C#4 F4:2 E4:1 C4 E4:2
        | B3:1 C#4 D4 E4 F#4 D4 F#4 B4 | A4 F#4 D4 F#4 A4:4
        | B3:1 C#4 D4 E4 F#4 D4 F#4:2 | F4:1 C#4 F4:2 E4:1 C4 E4:2
        | B3:1 C#4 D4 E4 F#4 D4 F#4 B4 | A4 F#4 D4 F#4 A4:4
        | F#4:1 G#4 A#4 B4 C#5 A#4 C#5:2 | D5:1 A#4 D5:2 C#5:1 A#4 C#5:2
        | F#4:1 G#4 A#4 B4 C#5 A#4 C#5:2 | D5:1 A#4 D5:2 C#5:4""",
    chords="Bm:8 Bm:4 C Bm:8 D Bm Bm:4 C Bm:8 D F# F#7 F# F#7",
)

CAN_CAN = Melody(
    title="Can-Can",
    composer="Jacques Offenbach",
    year=1858,
    beats_per_minute=288,
    bar=8,
    pulse=2,
    notes="""A4:4 B4:1 D5 C#5 B4 | E5:2 E5 E5:1 F#5 C#5 D5 | B4:2 B4 B4:1 D5 C#5 B4
        | A4 A5 G#5 F#5 E5 D5 C#5 B4 | A4:4 B4:1 D5 C#5 B4 | E5:2 E5 E5:1 F#5 C#5 D5 | B4:2 B4 B4:1 D5 C#5 B4
        | A4:2 E5 A4:4
        | C#5:2 E5 A5 E5 | F#5:1 E5 D5 F#5 E5:4 | B4:2 D5 G#5 D5 | E5:1 D5 C#5 E5 C#5:4
        | C#5:2 E5 A5 E5 | F#5:1 E5 D5 F#5 E5:4 | B4:1 C#5 D5 B4 E5 D5 C#5 B4 | A4:2 A5 A4:4""",
    chords="A:8 A E7 A A A E7 A A D:4 A E7:8 A A D:4 A E7:8 A",
)

LULLABY = Melody(
    title="Lullaby",
    composer="Johannes Brahms",
    year=1868,
    beats_per_minute=92,
    bar=3,
    pulse=1,
    notes="""r:2 G4:.5 G4 | Bb4:1.5 G4:.5 G4:1 | Bb4:2 G4:.5 Bb4 | Eb5:1 D5:1.5 C5:.5 | C5:1 Bb4 F4:.5 G4
        | Ab4:1 F4 F4:.5 G4 | Ab4:2 F4:.5 Ab4 | D5 C5 Bb4:1 D5 | Eb5:2 Eb4:.5 Eb4 | Eb5:2 C5:.5 Ab4
        | Bb4:2 G4:.5 Eb4 | Ab4:1 Bb4 C5 | Bb4:2 Eb4:.5 Eb4 | Eb5:2 C5:.5 Ab4 | Bb4:2 G4:.5 Eb4
        | Ab4:1 G4 F4 | Eb4:3""",
    chords="Eb:3 Eb Eb Eb Eb Bb7 Bb7 Bb7 Eb Ab Eb Bb7 Eb Ab Eb Bb7 Eb",
)

AMAZING_GRACE = Melody(
    title="Amazing Grace",
    composer="John Newton",
    year=1779,
    beats_per_minute=96,
    bar=3,
    pulse=1,
    notes="""r:2 C4:1 | F4:2 A4:.5 F4 | A4:2 G4:1 | F4:2 D4:1 | C4:2 C4:1 | F4:2 A4:.5 F4 | A4:2 G4:1 | C5:3
        | r:2 A4:1 | C5:2 A4:.5 F4 | A4:2 G4:1 | F4:2 D4:1 | C4:2 C4:1 | F4:2 A4:.5 F4 | A4:2 G4:1 | F4:3""",
    chords="F:3 F F Bb F F Dm C C F F Bb F F C7 F",
)

CANON_IN_D = Melody(
    title="Canon in D",
    composer="Johann Pachelbel",
    year=1680,
    beats_per_minute=88,
    bar=4,
    pulse=1,
    notes="""F#5:2 E5 | D5 C#5 | B4 A4 | B4 C#5 | D5:1 F#5 A5 G5 | F#5 D5 F#5 E5 | D5 B4 D5 A5 | G5 B5 A5 G5
        | F#5:.5 D5 E5 F#5 E5 D5 C#5 E5 | D5 C#5 B4 D5 C#5 A4 B4 C#5 | D5 B4 C#5 D5 A4 F#4 G4 A4
        | B4 G4 A4 B4 C#5 D5 E5 C#5 | A5:.5 F#5:.25 G5 A5:.5 F#5:.25 G5 A5:.25 A4 B4 C#5 D5 E5 F#5 G5
        | F#5:.5 D5:.25 E5 F#5:.5 F#4:.25 G4 A4 B4 A4 G4 A4 F#4 G4 A4
        | G4:.5 B4:.25 A4 G4:.5 F#4:.25 E4 F#4 E4 D4 E4 F#4 G4 A4 B4
        | G4:.5 B4:.25 A4 B4:.5 C#5:.25 D5 A4 B4 C#5 D5 E5 F#5 G5 A5""",
    chords="D:2 A Bm F#m G D G A D A Bm F#m G D G A D A Bm F#m G D G A D A Bm F#m G D G A",
)

KOROBEINIKI = Melody(
    title="Korobeiniki",
    composer="Traditional Russian",
    year=1861,
    beats_per_minute=144,
    bar=4,
    pulse=1,
    notes="""E5:1 B4:.5 C5 D5:1 C5:.5 B4 | A4:1 A4:.5 C5 E5:1 D5:.5 C5 | B4:1.5 C5:.5 D5:1 E5 | C5 A4 A4:2
        | r:.5 D5:1 F5:.5 A5:1 G5:.5 F5 | E5:1.5 C5:.5 E5:1 D5:.5 C5 | B4:1 B4:.5 C5 D5:1 E5 | C5 A4 A4:2
        | E5 C5 | D5 B4 | C5 A4 | G#4 B4 | E5 C5 | D5 B4 | C5:1 E5 A5:2 | G#5:4""",
    chords="E7:4 Am E7 Am Dm Am E7 Am Am Em Am E7 Am Em Am E7",
)

"""The sample's catalogue: who plays which melody, and the one melody nobody has recorded for it."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.model import Tags
from pipeline.sample import instruments as on
from pipeline.sample import melodies
from pipeline.sample.arrangement import Arrangement, Stereo, perform
from pipeline.sample.melodies import Melody

ALBUM = "Earmark Sampler"


@dataclass(frozen=True, slots=True)
class Recording:
    """A melody as one band plays it."""

    melody: Melody
    arrangement: Arrangement

    @property
    def tags(self) -> Tags:
        return Tags(self.melody.title, self.melody.composer, ALBUM, self.melody.year)

    def samples(self) -> Stereo:
        return perform(self.melody, self.arrangement)


# Bands tune a little differently: equal pitches in every track would make unlike recordings look alike.
ODE_TO_JOY = Recording(
    melodies.ODE_TO_JOY,
    Arrangement((on.FLUTE, on.TRUMPET), on.STRINGS, ("held", "pulsed"), drums=True, tuning_hz=440),
)
GREENSLEEVES = Recording(
    melodies.GREENSLEEVES, Arrangement((on.GUITAR, on.FLUTE), on.GUITAR, ("broken", "held"), tuning_hz=436)
)
FUR_ELISE = Recording(
    melodies.FUR_ELISE, Arrangement((on.PIANO, on.PIANO), on.PIANO, ("broken", "held"), tuning_hz=442)
)
FRERE_JACQUES = Recording(
    melodies.FRERE_JACQUES,
    Arrangement((on.MUSIC_BOX, on.CLARINET, on.FLUTE), on.HARP, ("broken", "oompah", "held"), tuning_hz=445),
)
AH_VOUS_DIRAI_JE = Recording(
    melodies.AH_VOUS_DIRAI_JE,
    Arrangement((on.HARPSICHORD, on.PIANO), on.HARPSICHORD, ("broken", "pulsed"), tuning_hz=438),
)
SCARBOROUGH_FAIR = Recording(
    melodies.SCARBOROUGH_FAIR, Arrangement((on.OBOE, on.STRINGS), on.HARP, ("broken", "held"), tuning_hz=441)
)
AULD_LANG_SYNE = Recording(
    melodies.AULD_LANG_SYNE,
    Arrangement((on.CLARINET, on.TRUMPET), on.ORGAN, ("held", "pulsed"), drums=True, tuning_hz=443),
)
MINUET_IN_G = Recording(
    melodies.MINUET_IN_G,
    Arrangement((on.HARPSICHORD, on.FLUTE), on.STRINGS, ("oompah", "held"), tuning_hz=434),
)
SWAN_LAKE = Recording(
    melodies.SWAN_LAKE, Arrangement((on.OBOE, on.STRINGS), on.STRINGS, ("broken", "pulsed"), tuning_hz=442)
)
MOUNTAIN_KING = Recording(
    melodies.MOUNTAIN_KING,
    Arrangement(
        (on.CLARINET, on.GUITAR, on.STRINGS),
        on.STRINGS,
        ("pulsed", "oompah", "pulsed"),
        drums=True,
        hurry=0.5,
        tuning_hz=440.5,
    ),
)
CAN_CAN = Recording(
    melodies.CAN_CAN,
    Arrangement((on.TRUMPET, on.FLUTE), on.PIANO, ("oompah", "pulsed"), drums=True, tuning_hz=444),
)
LULLABY = Recording(
    melodies.LULLABY, Arrangement((on.MUSIC_BOX, on.CLARINET), on.HARP, ("broken", "oompah"), tuning_hz=439)
)
AMAZING_GRACE = Recording(
    melodies.AMAZING_GRACE, Arrangement((on.ORGAN, on.STRINGS), on.ORGAN, ("held", "broken"), tuning_hz=437)
)
CANON_IN_D = Recording(
    melodies.CANON_IN_D, Arrangement((on.STRINGS, on.HARP), on.HARP, ("broken", "held"), tuning_hz=440)
)

CATALOGUE = (
    ODE_TO_JOY,
    GREENSLEEVES,
    FUR_ELISE,
    FRERE_JACQUES,
    AH_VOUS_DIRAI_JE,
    SCARBOROUGH_FAIR,
    AULD_LANG_SYNE,
    MINUET_IN_G,
    SWAN_LAKE,
    MOUNTAIN_KING,
    CAN_CAN,
    LULLABY,
    AMAZING_GRACE,
    CANON_IN_D,
)

UNKNOWN = Recording(
    melodies.KOROBEINIKI, Arrangement((on.CLARINET, on.GUITAR), on.PIANO, ("oompah", "broken"), drums=True)
)
COVER_OF_GREENSLEEVES = Recording(
    melodies.GREENSLEEVES,
    Arrangement((on.HARPSICHORD, on.OBOE), on.STRINGS, ("pulsed",), transpose=5, tempo=1.3),
)
"""The same tune by another band, in another key: another recording, so not one the catalogue knows."""

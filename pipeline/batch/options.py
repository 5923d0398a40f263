"""What a run is asked to do, decided before it starts and never changed while it runs."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path


class Coverage(StrEnum):
    """How much of a file is asked about."""

    PROBE = "probe"
    """As few segments as settle the answer."""
    FULL = "full"
    """Every segment of the file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The choices of one run; the defaults are the product's defaults."""

    coverage: Coverage = Coverage.PROBE
    segment_s: float = 15.0
    """Length of a segment, 15 to 30 s."""
    probes: int = 3
    """How many places of a file are tried, at most, before it counts as not found."""
    mix_after_s: float = 12 * 60.0
    """A longer file is taken for a mix: the catalogue hears all of it, a paid service one probe every `mix_every_s`."""
    mix_every_s: float = 60.0
    max_credits: float | None = None
    """Seconds of audio this run may send to paid services; None: no limit."""
    credits_per_day: float | None = None
    credits_per_month: float | None = None
    """The same over all runs of the ledger, in a calendar day or month of UTC; None: no budget."""
    reuse: bool = True
    """Whether an answer paid for stands for the same stretch of the same recording in another encoding too."""
    max_files: int | None = None
    """Files this run may newly answer; None: no limit."""
    jobs: int = 8
    """Segments being uploaded or waited for at the same time."""
    patience_s: float = 600.0
    """How long a paid service that fails is borne with before the run gives it up."""
    workers: int | None = None
    """Files being decoded at the same time; None: one more than there are cores."""
    keep_segments: Path | None = None
    """A folder that receives every segment asked about as a WAV file."""
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    """Glob patterns on the shown path, or on the file's name where the pattern holds no slash."""

    @property
    def manner(self) -> str:
        """The choices that an answer depends on, as the ledger keeps them: other choices, another answer."""
        return (
            f"{self.coverage} segment={self.segment_s:g} probes={self.probes} "
            f"mix={self.mix_after_s:g}/{self.mix_every_s:g}"
        )

"""Was an upload charged whose connection broke? The service's own counters tell, where they can.

`stat` counts the seconds and queries of a key. A baseline of it is kept in the ledger, taken while nothing was on its
way; since then the ledger knows every charge, so it knows what the counters must be now:

    seconds as expected                     none of the doubtful uploads was charged: free, may be sent again
    more by exactly their seconds           all of them were charged, in vain
    anything else                           somebody else uses the key, or several doubts cannot be told apart

Counters are believed only when nothing is on its way, when two looks a moment apart agree (some services book later
than they answer), and when the queries do not contradict the seconds. Whatever they say, `ask.MAX_UPLOADS` holds.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from enum import Enum

from pipeline.batch.budget import charged_seconds
from pipeline.errors import ServiceError
from pipeline.ledger import Upload, Uploads
from pipeline.model import Metered, Recognizer, Usage
from pipeline.retry import Clock, retrying

BETWEEN_LOOKS_S = 2.0
"""A charge that is booked after the reply is booked soon after."""

ROUNDING_S = 0.5
"""The counters are whole seconds; segments are 5 s at least, so this cannot hide one."""

_log = logging.getLogger(__name__)


class Verdict(Enum):
    """What the counters say of all the uploads in doubt together."""

    FREE = "not charged"
    CHARGED = "charged"
    UNKNOWN = "nobody knows"


def judge(
    before: Usage, looks: tuple[Usage, Usage], *, known_s: float, known: int, doubts_s: Sequence[float]
) -> Verdict:
    """Compare the counters with what they were and what was charged since: `known` uploads of `known_s` seconds."""
    first, last = looks
    more_s = last.uploaded_s - before.uploaded_s - known_s
    queries = last.queries - before.queries
    if first.uploaded_s != last.uploaded_s or queries < known:
        return Verdict.UNKNOWN
    # Some services count uploads as queries, others every request: our own looks between the two looks tell.
    counts_uploads_only = first.queries == last.queries
    if abs(more_s) <= ROUNDING_S:
        agreed = not counts_uploads_only or queries == known
        return Verdict.FREE if agreed else Verdict.UNKNOWN
    if abs(more_s - sum(doubts_s)) <= ROUNDING_S * len(doubts_s):
        agreed = queries == known + len(doubts_s) if counts_uploads_only else queries >= known + len(doubts_s)
        return Verdict.CHARGED if agreed else Verdict.UNKNOWN
    return Verdict.UNKNOWN


class Doubts:
    """Settles what is in doubt, as far as the services' counters allow."""

    def __init__(self, uploads: Uploads, *, clock: Clock, on_charged: Callable[[float], None]) -> None:
        """`on_charged` hears the seconds of every upload that turns out to be paid for in vain."""
        self._uploads = uploads
        self._clock = clock
        self._on_charged = on_charged

    def settle(self, recognizer: Recognizer) -> list[Upload]:
        """Judge every open doubt of this service; call it only while nothing is on its way there.

        Returns the uploads that turned out to be free. A service that cannot be asked leaves all as it is.
        """
        if not isinstance(recognizer, Metered):
            return []
        before = self._uploads.baseline(recognizer.name)
        doubts = self._uploads.in_doubt_since(before.upload_id if before else 0, recognizer.name)
        try:
            usage = retrying(recognizer.usage, tries=3, clock=self._clock)
            if not before or not doubts:
                self._uploads.rebase(recognizer.name, usage)
                return []
            self._clock.wait(BETWEEN_LOOKS_S)
            looks = (usage, retrying(recognizer.usage, tries=3, clock=self._clock))
        except ServiceError as error:
            _log.info("The service's counters could not be had: service=%s error=%s", recognizer.name, error)
            return []
        known_s, known = self._uploads.charged_since(before.upload_id, recognizer.name)
        cost_s = [charged_seconds(upload.length_s) for upload in doubts]
        verdict = judge(before.usage, looks, known_s=known_s, known=known, doubts_s=cost_s)
        _log.info(
            "Uploads in doubt were compared with the service's counters: service=%s uploads=%d verdict=%s",
            recognizer.name,
            len(doubts),
            verdict.value,
        )
        for upload, seconds in zip(doubts, cost_s, strict=True):
            if verdict is Verdict.FREE:
                self._uploads.cleared(upload.upload_id)
            elif verdict is Verdict.CHARGED:
                self._uploads.charged(upload.upload_id, seconds)
                self._on_charged(seconds)
        self._uploads.rebase(recognizer.name, looks[1])
        return doubts if verdict is Verdict.FREE else []

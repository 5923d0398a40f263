"""The one policy for asking a service again: when, how often, how soon, and when to let it be.

Three rules keep it safe with money. Only errors that say nothing was taken are tried again (ServiceBusy,
ServiceUnreachable); an upload in doubt is not among them. Nobody below this room repeats a request. And a
stop ends every wait at once.
"""

from pipeline.retry.again import retrying
from pipeline.retry.breaker import PATIENCE_S, CircuitBreaker, StoppedWaiting
from pipeline.retry.clock import Clock, SystemClock
from pipeline.retry.pace import Pace
from pipeline.retry.polling import TOKEN_LIFE_S, poll
from pipeline.retry.rate_limit import RateLimit
from pipeline.retry.retry_after import retry_after_s
from pipeline.retry.window import Window

__all__ = [
    "PATIENCE_S",
    "TOKEN_LIFE_S",
    "CircuitBreaker",
    "Clock",
    "Pace",
    "RateLimit",
    "StoppedWaiting",
    "SystemClock",
    "Window",
    "poll",
    "retry_after_s",
    "retrying",
]

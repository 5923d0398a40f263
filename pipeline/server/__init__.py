"""The self-hosted service: the AudioTag API over the catalogue of this machine.

socket ─► gate ─► door ─► form ─► api ─► intake ─► jobs ─► workers ─► worker: analysis ─► recognizer
          limits  HTTP    fields  what   8 kHz     charge  processes  one job at a time
                          + file  it     mono PCM  + queue
                          on disk means
"""

from pipeline.server.accounts import UNLIMITED, Account, Accounts
from pipeline.server.api import expiry_words
from pipeline.server.service import Service, listen, open_accounts
from pipeline.server.worker import Ear

__all__ = ["UNLIMITED", "Account", "Accounts", "Ear", "Service", "expiry_words", "listen", "open_accounts"]

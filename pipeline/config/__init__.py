"""Settings: what can be set, where it was set, and what is wrong with it."""

from pipeline.config.folders import default_state_folder
from pipeline.config.load import load
from pipeline.config.mistakes import is_loopback
from pipeline.config.settings import PUBLIC_AUDIOTAG_URL, ServerSettings, Settings, known_keys

__all__ = [
    "PUBLIC_AUDIOTAG_URL",
    "ServerSettings",
    "Settings",
    "default_state_folder",
    "is_loopback",
    "known_keys",
    "load",
]

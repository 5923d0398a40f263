"""earmark: what every file of a music folder really is, and what it cost to know."""

__version__ = "0.1.0"

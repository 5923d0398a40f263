"""The commands: the only place that prints and that opens a recognizer."""

from pipeline.cli.main import main

__all__ = ["main"]

"""The commands: the only place that prints and that opens a recognizer."""

from pipeline.cli.app import main

__all__ = ["main"]

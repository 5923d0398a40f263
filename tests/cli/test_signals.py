"""What the first Ctrl-C asks for, whichever signal it comes as."""

from __future__ import annotations

import signal

import pytest

from pipeline.cli.signals import FINISHING, stopping


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_sets_the_event_and_says_how_to_stop_now(number: signal.Signals):
    said: list[str] = []
    with stopping(said.append) as stop:
        signal.raise_signal(number)
        assert stop.is_set()
    assert said == [FINISHING]


def test_a_hangup_is_told_to_nobody_because_the_terminal_is_gone():
    said: list[str] = []
    with stopping(said.append) as stop:
        signal.raise_signal(signal.SIGHUP)
        assert stop.is_set()
    assert said == []


def test_the_handlers_of_before_come_back():
    before = signal.getsignal(signal.SIGINT)
    with stopping(print):
        assert signal.getsignal(signal.SIGINT) is not before
    assert signal.getsignal(signal.SIGINT) is before


def test_what_is_ignored_stays_ignored_as_nohup_means_it():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with stopping(print) as stop:
            signal.raise_signal(signal.SIGHUP)
            assert not stop.is_set()
    finally:
        signal.signal(signal.SIGHUP, before)

"""A second interrupt acts at once; test_killed.py stops whole programs."""

import os
import signal

import pytest

from bev.training.checkpoint.signals import StopSignals


def test_a_second_interrupt_stops_at_once():
    signals = StopSignals()
    before = signal.getsignal(signal.SIGINT)
    signals.listen()
    try:
        os.kill(os.getpid(), signal.SIGINT)
        assert signals.received and signals.name == "SIGINT"
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
    finally:
        signals.close()
    assert signal.getsignal(signal.SIGINT) is before

"""What is left of a run is told after every slice, and counted seldom where counting is slow."""

from SAMSegmenterLib.session import countdown
from SAMSegmenterLib.session.countdown import Countdown


def at(monkeypatch, *seconds):
    """Let the clock show these times, one after the other."""
    clock = iter(seconds)
    monkeypatch.setattr(countdown.time, "perf_counter", lambda: next(clock))


def test_it_is_counted_anew_when_that_takes_no_time(monkeypatch):
    at(monkeypatch, 1, 1, 2, 2, 3, 3)
    counts = iter([9, 5, 4])
    left = Countdown(lambda: next(counts)).left
    assert [left(1), left(2), left(3)] == [9, 5, 4]


def test_between_slow_counts_what_was_done_is_taken_off(monkeypatch):
    at(monkeypatch, 1, 2, 5, 20, 21, 22, 23)
    counts = iter([9, 3])
    left = Countdown(lambda: next(counts)).left
    assert [left(1), left(3), left(40), left(41), left(42)] == [9, 7, 0, 3, 2]

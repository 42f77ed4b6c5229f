"""Jobs get on in a host that never lets go of Python's lock of its own accord."""

import time

import pytest

from SAMSegmenterLib.worker import Worker

PATIENCE_S = 10


@pytest.fixture
def pump(slicer_host):
    from SAMSegmenterLib.in_slicer import pump

    pump.install()
    return pump


@pytest.fixture
def worker():
    worker = Worker()
    yield worker
    worker.close()


def process_events(host, happened):
    give_up = time.monotonic() + PATIENCE_S
    while not happened() and time.monotonic() < give_up:
        host.process_events()
    assert happened()


def test_the_main_thread_waits_for_jobs_in_turns_until_they_are_done(slicer_host, pump, worker, monkeypatch):
    turns = []

    def lend(seconds):
        turns.append(seconds)
        return len(turns) < 5

    monkeypatch.setattr(pump, "lend", lend)
    worker.submit(lambda cancelled: [])
    process_events(slicer_host, lambda: len(turns) == 5)
    for _ in range(20):
        slicer_host.process_events()
    assert turns == [pump.TURN_S] * 5


def test_one_timer_is_enough_for_all_turns(slicer_host, pump, worker, monkeypatch):
    before, turns = timers(), []
    monkeypatch.setattr(pump, "lend", lambda seconds: turns.append(seconds) or len(turns) % 20)
    for jobs in (1, 2):
        worker.submit(lambda cancelled: [])
        process_events(slicer_host, lambda jobs=jobs: len(turns) == 20 * jobs)
    assert timers() == before


def timers():
    """How many the application keeps, beside the host's own."""
    import qt
    import slicer

    return len(slicer.app.findChildren(qt.QTimer))


def test_events_come_between_the_turns(slicer_host, pump, worker):
    import qt

    came, task = [], worker.submit(lambda cancelled: (time.sleep(0.01) for _ in range(30)))

    def come():
        came.append(task.finished)
        qt.QTimer.singleShot(1, come if not task.finished else lambda: None)

    come()
    process_events(slicer_host, lambda: task.finished)
    assert came.count(False) > 5

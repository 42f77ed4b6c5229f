"""The worker: order, results, cancelling, errors."""

import threading
import time

import pytest

from SAMSegmenterLib.worker import Worker, attend, lend, shared_worker

SECONDS = 10


@pytest.fixture
def worker():
    worker = Worker()
    yield worker
    worker.close()


def finished(task):
    task.wait(SECONDS)
    assert task.finished
    return task


def test_results_come_in_order_from_one_other_thread(worker):
    tasks = [worker.submit(lambda cancelled, n=n: [n, threading.get_ident()]) for n in range(3)]
    taken = [finished(task).take() for task in tasks]
    assert [number for number, _ in taken] == [0, 1, 2]
    threads = {thread for _, thread in taken}
    assert len(threads) == 1
    assert threads != {threading.get_ident()}


def test_results_can_be_taken_while_the_job_runs(worker):
    go_on, began = threading.Event(), threading.Event()

    def job(cancelled):
        yield "first"
        began.set()
        assert go_on.wait(SECONDS)
        yield "second"

    task = worker.submit(job)
    assert began.wait(SECONDS)
    assert task.take() == ["first"]
    assert not task.finished
    go_on.set()
    assert finished(task).take() == ["second"]


def test_a_cancelled_job_stops_after_its_next_result(worker):
    go_on = threading.Event()

    def job(cancelled):
        yield 1
        assert go_on.wait(SECONDS)
        yield 2
        yield 3

    task = worker.submit(job)
    task.cancel()
    go_on.set()
    assert set(finished(task).take()) <= {1, 2}
    assert task.cancelled
    assert task.error is None


def test_a_job_that_has_not_begun_never_runs_once_cancelled(worker):
    go_on, ran = threading.Event(), []
    worker.submit(lambda cancelled: [go_on.wait(SECONDS)])
    waiting = worker.submit(lambda cancelled: [ran.append(True)])
    waiting.cancel()
    go_on.set()
    finished(worker.submit(lambda cancelled: []))
    assert waiting.finished
    assert waiting.error is None
    assert not ran


def test_an_error_is_kept_and_the_next_job_runs(worker):
    def failing(cancelled):
        yield 1
        raise MemoryError("no room")

    task = finished(worker.submit(failing))
    assert task.take() == [1]
    assert isinstance(task.error, MemoryError)
    assert finished(worker.submit(lambda cancelled: ["fine"])).take() == ["fine"]


def test_a_host_that_holds_pythons_lock_can_lend_it(worker):
    """As Slicer's event loop does: one call into C after the other, none of which lets go of the lock."""
    task = worker.submit(lambda cancelled: (time.sleep(0.0002) for _ in range(200)))
    turns = 0
    while lend(0.02) and turns < 100:
        turns += 1
        sum(range(300_000))
    assert task.finished
    assert turns < 50  # without lending, each of the 200 steps would wait for a turn of its own


def test_lending_ends_when_nothing_is_left_to_do(worker):
    worker.submit(lambda cancelled: [1])
    before = time.monotonic()
    assert not lend(SECONDS)
    assert time.monotonic() - before < SECONDS


def test_whoever_attends_hears_of_every_job(worker, monkeypatch):
    monkeypatch.setattr("SAMSegmenterLib.worker._attendants", [])
    heard = []
    attend(lambda: heard.append(threading.get_ident()))
    for _ in range(2):
        finished(worker.submit(lambda cancelled: []))
    assert heard == [threading.get_ident()] * 2


def test_there_is_one_shared_worker():
    assert shared_worker() is shared_worker()

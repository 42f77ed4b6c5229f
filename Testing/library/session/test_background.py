"""A session on a worker: asked from one thread, answered from another, and told in order."""

import threading
import time
from itertools import pairwise

import numpy as np
import pytest

from SAMSegmenterLib.errors import InputError
from SAMSegmenterLib.image.stack import FrameStack
from SAMSegmenterLib.image.window import Window
from SAMSegmenterLib.network.options import Options
from SAMSegmenterLib.prompts.types import Box, Keyframe, PromptSet, Segment
from SAMSegmenterLib.session.background import BackgroundSession, Ended, RunProgress
from SAMSegmenterLib.session.composition import SliceMask
from SAMSegmenterLib.session.session import Session
from SAMSegmenterLib.session.summary import Summary
from SAMSegmenterLib.worker import Worker
from support.phantoms import ball

SECONDS = 30


@pytest.fixture(scope="module")
def stack():
    return FrameStack(ball(slices=12)[0], window=Window(-160, 240))


@pytest.fixture
def worker():
    worker = Worker()
    yield worker
    worker.close()


@pytest.fixture
def background(stack, worker, shipped_model):
    return BackgroundSession(stack, lambda given: Session(given, shipped_model, Options(precision="float32"), "cpu"), worker)


def prompts(*indices, names=("ball",), side=21.0):
    keyframes = tuple(Keyframe(index, box=Box(21.5, 21.5, 21.5 + side, 21.5 + side)) for index in indices)
    return PromptSet(tuple(Segment(name, keyframes) for name in names))


def news_of(background):
    """Everything that is told until nothing is running any more."""
    told, end = [], time.monotonic() + SECONDS
    while background.busy:
        assert time.monotonic() < end
        told += background.poll()
        time.sleep(0.005)
    return told


def only(kind, told):
    return [each for each in told if isinstance(each, kind)]


# ---------------------------------------------------------------- with the network


def test_a_preview_is_the_mask_of_the_session_itself(background, stack, shipped_model):
    session = Session(stack, shipped_model, Options(precision="float32"), "cpu", prompts(6))
    background.preview("ball", 6, prompts(6))
    assert background.busy == "preview"
    found, ended = news_of(background)
    np.testing.assert_array_equal(found.mask, session.preview("ball", 6).mask)
    assert ended == Ended("preview")
    assert background.busy == ""


def test_a_run_tells_slices_progress_and_a_summary(background):
    background.propagate(prompts(6))
    assert background.busy == "propagate"
    told = news_of(background)
    slices, progress, (summary,) = only(SliceMask, told), only(RunProgress, told), only(Summary, told)
    assert slices[0].slice == 6
    assert [each.done for each in progress] == sorted(each.done for each in progress)
    assert progress[-1].done == progress[-1].total == len({each.slice for each in slices})
    assert progress[-1].slices_per_second > 0
    assert summary.slices["ball"] == sorted({each.slice for each in slices if each.source})
    assert [trust for _index, trust in summary.review["ball"]] == sorted(trust for _index, trust in summary.review["ball"])
    assert {report.direction for report in summary.passes} == {-1, 1}
    assert "cpu" in summary.device
    assert told[-1] == Ended("propagate")


def test_a_correction_computes_only_what_it_can_change_and_tells_the_rest_again(background):
    background.propagate(prompts(4))
    news_of(background)
    background.propagate(prompts(4, 8))
    told = news_of(background)
    (summary,) = only(Summary, told)
    computed = {found.slice for found, after in pairwise(told) if isinstance(after, RunProgress)}
    assert computed == {4, 5, 6, 7, 8, 9, 10, 11}
    assert {each.slice for each in only(SliceMask, told)} == set(summary.slices["ball"]) > computed


def test_a_run_over_a_range_stays_in_it(background):
    background.propagate(prompts(6), ["ball"], (5, 8))
    assert {each.slice for each in only(SliceMask, news_of(background))} <= {5, 6, 7, 8}


# ---------------------------------------------------------------- with a session of the test's own


class Steps:
    """A session that waits before every slice until the test lets it go on."""

    def __init__(self, stack):
        self.stack, self.prompts = stack, PromptSet()
        self.go_on, self.opened_on = threading.Semaphore(0), threading.get_ident()
        self.previewed, self.prepared, self.error = [], [], None

    def _mask(self, segment, index):
        return SliceMask(segment, index, np.zeros(self.stack.shape, bool), 0.5, "forward")

    def _wait(self):
        assert self.go_on.acquire(timeout=SECONDS)
        if self.error:
            raise self.error

    def preview(self, segment, index):
        self._wait()
        self.previewed.append(index)
        return self._mask(segment, index)

    def prepare(self, segment, index):
        for each in range(100):
            self.prepared.append(each)
            yield each
            time.sleep(0.01)

    def propagate(self, segments, slices, cancel):
        for index in range(3):
            self._wait()
            yield self._mask("ball", index)

    remaining = staticmethod(lambda slices: 0)
    slice_mask = _mask

    def summary(self, segments):
        return Summary({"ball": [0, 1, 2]}, {"ball": [(1, 0.1)]}, [], "cpu", ["slow"])


@pytest.fixture
def opened():
    return []


@pytest.fixture
def stepwise(stack, worker, opened):
    def open_session(given):
        opened.append(Steps(given))
        return opened[-1]

    return BackgroundSession(stack, open_session, worker)


def first_of(opened):
    end = time.monotonic() + SECONDS
    while not opened:
        assert time.monotonic() < end
        time.sleep(0.002)
    return opened[0]


def test_every_call_returns_at_once(stepwise, opened):
    begin = time.perf_counter()
    stepwise.preview("ball", 1, prompts(1))
    stepwise.propagate(prompts(1))
    assert stepwise.poll() == []
    stepwise.cancel()
    assert time.perf_counter() - begin < 0.5
    first_of(opened).go_on.release(5)


def test_the_session_is_opened_once_on_the_workers_thread(stepwise, opened):
    stepwise.preview("ball", 1, prompts(1))
    first_of(opened).go_on.release(9)
    stepwise.propagate(prompts(1))
    news_of(stepwise)
    assert len(opened) == 1
    assert opened[0].opened_on != threading.get_ident()


def test_a_preview_that_still_waits_is_dropped_for_a_newer_one(stepwise, opened):
    stepwise.preview("ball", 1, prompts(1))
    session = first_of(opened)
    stepwise.preview("ball", 2, prompts(2))
    stepwise.preview("ball", 3, prompts(3))
    session.go_on.release(9)
    told = news_of(stepwise)
    assert session.previewed == [1, 3]
    assert [ended.cancelled for ended in only(Ended, told)] == [True, True, False]


def test_what_was_found_before_cancelling_is_told(stepwise, opened):
    stepwise.propagate(prompts(1))
    session = first_of(opened)
    session.go_on.release(1)
    told, end = [], time.monotonic() + SECONDS
    while len(only(SliceMask, told)) < 1:
        assert time.monotonic() < end
        told += stepwise.poll()
    stepwise.cancel()
    session.go_on.release(9)
    told += news_of(stepwise)
    assert 1 <= len(only(SliceMask, told)) <= 2
    assert not only(Summary, told)
    assert told[-1] == Ended("propagate", cancelled=True)


@pytest.mark.parametrize("error", [MemoryError("full"), InputError("odd prompts"), ZeroDivisionError()])
def test_an_error_ends_the_run_and_is_told_and_the_next_one_works(stepwise, opened, error):
    stepwise.propagate(prompts(1))
    session = first_of(opened)
    session.error = error
    session.go_on.release(1)
    told = news_of(stepwise)
    assert told == [Ended("propagate", error=error)]
    session.error = None
    session.go_on.release(9)
    stepwise.propagate(prompts(1))
    assert only(Ended, news_of(stepwise)) == [Ended("propagate")]


def test_a_session_that_cannot_be_opened_is_told_and_tried_again(stack, worker):
    attempts = []

    def open_session(given):
        attempts.append(given)
        if len(attempts) == 1:
            raise OSError("no file")
        session = Steps(given)
        session.go_on.release(9)
        return session

    background = BackgroundSession(stack, open_session, worker)
    background.preview("ball", 1, prompts(1))
    (ended,) = news_of(background)
    assert str(ended.error) == "no file"
    background.preview("ball", 1, prompts(1))
    assert len(only(SliceMask, news_of(background))) == 1


def test_preparing_gives_way_to_whatever_is_asked_next(stepwise, opened):
    stepwise.preview("ball", 1, prompts(1))
    session = first_of(opened)
    session.go_on.release(9)
    news_of(stepwise)
    end = time.monotonic() + SECONDS
    while not session.prepared:
        assert time.monotonic() < end
        time.sleep(0.002)
    stepwise.propagate(prompts(1))
    news_of(stepwise)
    assert len(session.prepared) < 100


def test_the_summary_comes_after_all_slices(stepwise, opened):
    stepwise.propagate(prompts(1))
    first_of(opened).go_on.release(9)
    *_, summary, ended = news_of(stepwise)
    assert summary == opened[0].summary(None)
    assert ended == Ended("propagate")


def test_time_left_follows_the_pace():
    progress = RunProgress(done=10, total=30, seconds=5.0)
    assert progress.slices_per_second == 2.0
    assert progress.seconds_left == 10.0
    assert RunProgress(0, 30, 0.0).seconds_left == 0.0

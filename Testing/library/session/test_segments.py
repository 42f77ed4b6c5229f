"""Several segments in one session: side by side, without overlap in the labels, or one alone."""

import numpy as np
import pytest

from SAMSegmenterLib.errors import InputError
from SAMSegmenterLib.prompts.types import Keyframe, MaskPrompt, PromptSet, Segment
from SAMSegmenterLib.session.session import Session
from support.session_steps import painted, run


@pytest.fixture
def two(session, truth):
    half = truth[16].copy()
    half[:, 32:] = False
    session.set_keyframe("left", Keyframe(16, mask=MaskPrompt(half)))
    session.set_keyframe("whole", painted(truth, 18))
    run(session)
    return session


def test_segments_do_not_overlap_but_each_can_be_had_whole(two, truth):
    labels = two.labelmap()
    assert set(np.unique(labels)) == {0, 1, 2}
    left, whole = two.segment_volume("left"), two.segment_volume("whole")
    assert (left & whole).any()
    assert (left | whole)[labels > 0].all()
    np.testing.assert_array_equal(labels > 0, left | whole)
    np.testing.assert_array_equal(two.labels(18) == 2, truth[18])


def test_segments_run_side_by_side_and_share_their_features(two):
    assert {report.segment for report in two.reports()} == {"left", "whole"}
    one = Session(two.stack, two.model, two.options, "cpu")
    one.prompts = PromptSet((two.prompts.segment("left"),))
    run(one)
    np.testing.assert_array_equal(one.segment_volume("left"), two.segment_volume("left"))


def test_one_segment_can_be_run_alone(session, truth):
    session.prompts = PromptSet((Segment("a", (painted(truth, 16),)), Segment("b", (painted(truth, 12),))))
    run(session, segments=["b"])
    assert {report.segment for report in session.reports()} == {"b"}
    with pytest.raises(InputError, match="no segment 'c'"):
        run(session, segments=["c"])


def test_segments_without_prompts_are_passed_over_but_one_is_needed(session, truth):
    session.prompts = PromptSet((Segment("empty"),))
    with pytest.raises(InputError, match="no segments"):
        run(session)
    session.prompts = PromptSet((Segment("empty"), Segment("ball", (painted(truth, 16),))))
    assert {each.segment for each in run(session)} == {"ball"}
    assert set(np.unique(session.labelmap())) == {0, 2}

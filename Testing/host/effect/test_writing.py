"""Writing masks into segments: what is remembered of it, and what becomes of the mask."""

import numpy as np
import pytest


@pytest.fixture
def write(work):
    """Writes a mask into "liver"; given what that returned, withdraws what the next mask no longer holds."""
    from SAMSegmenterLib.in_slicer.effect.writing import Patch, to_end, write_segment

    segment = work.segmentation.GetSegmentation().GetSegmentIdBySegmentName("liver")
    work.effect.scriptedEffect.saveStateForUndo()
    work.effect.scriptedEffect.defaultModifierLabelmap()

    def write(mask, earlier=None):
        return to_end(write_segment(work.effect.scriptedEffect, segment, Patch.of(mask), earlier and earlier.contributed))

    return write


def test_what_is_remembered_of_a_write_is_no_larger_than_the_segment(work, write):
    liver = work.truth == 1
    written = write(liver)
    assert (work.segment() == liver).all()
    assert (written.added, written.removed, written.rejected) == (liver.sum(), 0, 0)
    assert written.contributed.voxels.size < 2 * liver.sum() < liver.size
    assert (written.contributed.whole() == liver).all()


def test_the_next_mask_may_lie_elsewhere(work, write):
    liver, spleen = work.truth == 1, work.truth == 2
    written = write(spleen, write(liver))
    assert (work.segment() == spleen).all()
    assert (written.added, written.removed) == (spleen.sum(), liver.sum())
    assert (written.contributed.whole() == spleen).all()


def test_an_empty_mask_takes_everything_out_again_but_what_was_there_before(work, write):
    liver, spleen = work.truth == 1, work.truth == 2
    write(spleen)
    nothing = write(np.zeros_like(liver), write(liver))
    assert (work.segment() == spleen).all()
    assert (nothing.added, nothing.removed) == (0, liver.sum())
    again = write(np.zeros_like(liver), nothing)
    assert (again.added, again.removed, again.rejected) == (0, 0, 0)

"""A saved session comes back as it was, finished or not, and only for the volume and model that it is of."""

from dataclasses import replace

import numpy as np
import pytest

from SAMSegmenterLib.errors import InputError, OutputError
from SAMSegmenterLib.prompts.types import Box, Keyframe, MaskPrompt
from SAMSegmenterLib.session.saving import restore_session, save_session
from support.session_steps import box, painted, run


def test_a_saved_session_comes_back_as_it_was(session, truth, tmp_path):
    session.set_keyframe("ball", box(16))
    session.set_keyframe("other", painted(truth, 12))
    run(session)
    save_session(session, tmp_path / "work.session")
    back = restore_session(tmp_path / "work.session", session.stack.volume, session.model, "cpu")
    np.testing.assert_array_equal(back.labelmap(), session.labelmap())
    assert back.prompts == session.prompts
    assert back.reports() == session.reports()
    assert back.trust("ball") == session.trust("ball")
    assert back.remaining() == 0


def test_a_correction_that_was_not_computed_yet_is_not_lost(session, tmp_path):
    session.set_keyframe("ball", box(16))
    run(session)
    session.set_keyframe("ball", Keyframe(16, box=Box(3, 3, 15, 15)))
    save_session(session, tmp_path / "work.session")
    back = restore_session(tmp_path / "work.session", session.stack.volume, session.model, "cpu")
    assert back.remaining() == 31
    assert not back.labelmap().any()


def test_a_slice_may_be_numbered_by_numpy(session, truth, tmp_path):
    session.set_keyframe("ball", Keyframe(truth.sum((1, 2)).argmax(), mask=MaskPrompt(truth[16])))
    save_session(session, tmp_path / "work.session")
    assert restore_session(tmp_path / "work.session", session.stack.volume, session.model, "cpu").prompts == session.prompts
    with pytest.raises(TypeError):
        Keyframe(16.5)


def test_a_session_saved_in_the_middle_can_be_finished(session, truth, tmp_path):
    session.set_keyframe("ball", painted(truth, 16))
    steps = session.propagate()
    for _ in range(5):
        next(steps)
    save_session(session, tmp_path / "work.session")
    back = restore_session(tmp_path / "work.session", session.stack.volume, session.model, "cpu")
    np.testing.assert_array_equal(back.labelmap(), session.labelmap())
    run(back)
    run(session)
    np.testing.assert_array_equal(back.labelmap(), session.labelmap())


def test_an_unfinished_or_empty_session_can_be_saved(session, tmp_path):
    save_session(session, tmp_path / "empty.session")
    assert restore_session(tmp_path / "empty.session", session.stack.volume, session.model, "cpu").prompts == session.prompts
    session.set_keyframe("ball", box(16))
    session.set_keyframe("ball", Keyframe(16))
    save_session(session, tmp_path / "bare.session")
    assert restore_session(tmp_path / "bare.session", session.stack.volume, session.model, "cpu").prompts == session.prompts


def test_a_session_of_something_else_is_refused(session, volume, tmp_path):
    path = tmp_path / "work.session"
    save_session(session, path)
    with pytest.raises(InputError, match="another volume"):
        restore_session(path, replace(volume, voxels=volume.voxels + 1), session.model, "cpu")
    with pytest.raises(InputError, match="another model"):
        restore_session(path, volume, replace(session.model, sha256="1" * 64), "cpu")
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(InputError, match="damaged"):
        restore_session(path, volume, session.model, "cpu")
    with pytest.raises(InputError, match="no such file"):
        restore_session(tmp_path / "none", volume, session.model, "cpu")


def test_a_failed_save_leaves_the_older_file(session, tmp_path):
    path = tmp_path / "work.session"
    save_session(session, path)
    older = path.read_bytes()
    session.set_keyframe("ball", box(16))
    with pytest.raises(OutputError, match="could not be written"):
        save_session(session, tmp_path / "missing" / "work.session")
    assert path.read_bytes() == older
    assert [each.name for each in tmp_path.iterdir()] == ["work.session"]

"""Ctrl-C keeps what is finished and leaves nothing half-written."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from SAMSegmenterLib.imageio import write_volume
from SAMSegmenterLib.session.session import Session
from support.cli_steps import LIBRARY, MIDDLE, labels_in, leftovers, segment
from support.phantoms import ball


@pytest.fixture
def pressing(monkeypatch):
    """Press Ctrl-C once so many masks have come out of the session."""

    def after(count, times=1, sent=signal.SIGINT):
        original = Session.propagate

        def interrupted(self, *arguments, **named):
            for number, found in enumerate(original(self, *arguments, **named)):
                if number >= count:
                    for _ in range(times):
                        signal.raise_signal(sent)
                yield found

        monkeypatch.setattr(Session, "propagate", interrupted)

    return after


def test_ctrl_c_keeps_what_is_finished_and_says_so(propagate, pressing, tmp_path, out):
    pressing(4)
    outcome = propagate("--stats", tmp_path / "s.json")
    assert outcome.code == 130
    assert outcome.err.count("stopping, which may take a while") == 1
    assert "interrupted" in outcome.err
    assert out.name in outcome.err
    labels = labels_in(out)
    assert labels[MIDDLE].any()
    assert not labels[0].any()
    assert json.loads((tmp_path / "s.json").read_text(encoding="utf-8"))["cancelled"] is True


def test_a_second_ctrl_c_ends_at_once(propagate, pressing, tmp_path, out):
    pressing(4, times=2)
    assert propagate().code == 130
    assert not leftovers(tmp_path, "prompts.json")


ENDINGS = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]


@pytest.fixture
def attended(monkeypatch):
    """The signals are not ignored, as they would be if these tests were started by `nohup`."""
    before = {each: signal.signal(each, signal.SIG_DFL) for each in ENDINGS}
    yield
    for each, handler in before.items():
        signal.signal(each, handler)


@pytest.mark.usefixtures("attended")
@pytest.mark.parametrize("sent", ENDINGS)
def test_the_end_of_a_batch_job_or_terminal_is_as_ctrl_c(propagate, pressing, out, sent):
    pressing(4, sent=sent)
    outcome = propagate()
    assert outcome.code == 130
    assert "interrupted" in outcome.err
    assert labels_in(out)[MIDDLE].any()


@pytest.mark.usefixtures("attended")
@pytest.mark.parametrize("sent", ENDINGS)
def test_a_second_one_ends_at_once(propagate, pressing, tmp_path, sent):
    pressing(4, times=2, sent=sent)
    assert propagate().code == 130
    assert not leftovers(tmp_path, "prompts.json")


@pytest.mark.usefixtures("attended")
@pytest.mark.parametrize("sent", ENDINGS)
def test_while_loading_too(propagate, monkeypatch, tmp_path, sent):
    monkeypatch.setattr("SAMSegmenterLib.models.loading.load_model", lambda name: signal.raise_signal(sent))
    outcome = propagate()
    assert (outcome.code, outcome.err.count("what was not finished was not written")) == (130, 1)
    assert not leftovers(tmp_path, "prompts.json")


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="Windows closes no terminal by a signal")
def test_a_run_under_nohup_outlives_its_terminal(propagate, pressing, out):
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        pressing(4, sent=signal.SIGHUP)
        assert propagate("--range", "8:12").code == 0
    finally:
        signal.signal(signal.SIGHUP, before)
    assert labels_in(out)[MIDDLE].any()


def test_ctrl_c_before_anything_is_finished_leaves_no_output(propagate, monkeypatch, tmp_path):
    def nothing_yet(self, *arguments, cancel, **named):
        signal.raise_signal(signal.SIGINT)
        assert cancel()
        return iter(())

    monkeypatch.setattr(Session, "propagate", nothing_yet)
    outcome = propagate()
    assert outcome.code == 130
    assert "nothing was written" in outcome.err
    assert not leftovers(tmp_path, "prompts.json")


def test_ctrl_c_while_loading_leaves_no_output(propagate, monkeypatch, tmp_path):
    monkeypatch.setattr("SAMSegmenterLib.models.loading.load_model", lambda name: signal.raise_signal(signal.SIGINT))
    outcome = propagate()
    assert outcome.code == 130
    assert "what was not finished was not written" in outcome.err
    assert not leftovers(tmp_path, "prompts.json")


def test_ctrl_c_after_the_segmentation_does_not_say_that_nothing_was_written(propagate, monkeypatch, tmp_path, out):
    monkeypatch.setattr("SAMSegmenterLib.cli.propagate.write_text", lambda path, text: signal.raise_signal(signal.SIGINT))
    outcome = propagate("--range", "9:11", "--stats", tmp_path / "s.json")
    assert outcome.code == 130
    assert "nothing was written" not in outcome.err
    assert labels_in(out)[MIDDLE].any()


def test_ctrl_c_while_writing_loses_nothing_that_is_finished(propagate, monkeypatch, out):
    from SAMSegmenterLib import imageio

    original = imageio.write_segmentation

    def interrupted(*arguments):
        signal.raise_signal(signal.SIGINT)
        return original(*arguments)

    monkeypatch.setattr(imageio, "write_segmentation", interrupted)
    assert propagate("--range", "9:11").code in (0, 130)
    assert labels_in(out)[MIDDLE].any()


@pytest.mark.skipif(sys.platform == "win32", reason="no pseudo-terminals and signals from outside on Windows")
@pytest.mark.parametrize("sent", [signal.SIGINT, *ENDINGS])
def test_a_terminal_shows_progress_and_a_real_signal_stops_it(tmp_path, marked, sent):
    import pty

    write_volume(tmp_path / "long.nrrd", ball(400, 96, 45)[0])
    prompts = marked(segment(index=200, box=[4, 4, 92, 92]))
    program = [sys.executable, "-c", "from SAMSegmenterLib.cli.main import main; main()"]
    command = [*program, "propagate", "long.nrrd", "--prompts", prompts, "--output", "out.nii.gz", "--mode", "strict"]
    ours, theirs = pty.openpty()
    environment = {**os.environ, "PYTHONPATH": str(LIBRARY), "TERM": "xterm", "COLUMNS": "120"}
    attend = "import signal, sys; signal.signal(signal.SIGHUP, signal.SIG_DFL); import os; os.execv(sys.argv[1], sys.argv[1:])"
    command = [sys.executable, "-c", attend, *command]  # the signal of a closed terminal is not ignored
    process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=theirs, env=environment)
    os.close(theirs)
    shown = read_until(ours, "slices/s")
    process.send_signal(sent)
    shown += read_until(ours, None)
    os.close(ours)
    assert process.wait(timeout=60) == 130
    assert "slices/s" in shown
    assert "interrupted" in shown
    labels = labels_in(tmp_path / "out.nii.gz")
    assert labels[200].any()
    assert not labels[0].any()


def read_until(terminal, words, seconds=60):
    """What a terminal shows until certain words come, or until its program ends."""
    shown, end = "", time.monotonic() + seconds
    while time.monotonic() < end and not (words and words in shown):
        try:
            part = os.read(terminal, 4096)
        except OSError:  # Linux: nobody writes any more
            break
        if not part:
            break
        shown += part.decode(errors="replace")
    return shown

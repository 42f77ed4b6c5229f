"""Streams that are closed, or that nobody reads, end no run and show no traceback; nor does the lack of a home folder."""

import os
import subprocess
import sys

import pytest

from SAMSegmenterLib.errors import OutputError
from SAMSegmenterLib.models.storage import folders
from support.cli_steps import LIBRARY, leftovers, segment

PROGRAM = [sys.executable, "-c", "from SAMSegmenterLib.cli.main import main; main()"]


def environment(**changed):
    return {**os.environ, "PYTHONPATH": str(LIBRARY), "OMP_NUM_THREADS": "1", **changed}


def shell(line, *arguments, **changed):
    """Run a line of the shell in which "$@" is a call of the program."""
    command = ["bash", "-c", f"set -o pipefail; {line}", "bash", *PROGRAM, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, env=environment(**changed), timeout=300)


@pytest.mark.skipif(sys.platform == "win32", reason="uses bash and /dev/full")
@pytest.mark.parametrize(
    ("line", "code", "said"),
    [
        ('"$@" | head -0', 0, ""),
        ('"$@" >&-', 0, ""),
        ('"$@" 2>&-', 0, ""),
        ('"$@" <&- >&- 2>&-', 0, ""),
        ('"$@" >/dev/full', 1, "samsegmenter: error: [Errno 28] No space left on device"),
    ],
)
def test_a_reader_that_has_gone_is_no_error(scan, line, code, said):
    done = shell(line, "info", scan)
    assert done.returncode == code
    assert done.stderr.strip() == said
    assert ("ball.nrrd" in done.stdout) == ("2>&-" in line and ">&- 2" not in line)


@pytest.mark.skipif(sys.platform == "win32", reason="uses bash and /dev/full")
@pytest.mark.parametrize("line", ['"$@" 2>&-', '"$@" 2>/dev/full', '"$@" 2>&1 | head -0; exit ${PIPESTATUS[0]}'])
def test_an_error_that_cannot_be_told_is_still_one(tmp_path, line):
    done = shell(line, "info", tmp_path / "none.nrrd")
    assert done.returncode == 1
    assert "Traceback" not in done.stdout + done.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="uses bash")
def test_a_run_whose_messages_nobody_reads_writes_its_result(scan, marked, tmp_path):
    prompts = marked(segment(box=[-5, 15, 33, 33]))  # which is cut, and told
    out = tmp_path / "out.seg.nrrd"
    done = shell('"$@" 2>&-', "propagate", scan, "--prompts", prompts, "--output", out, "--range", "9:11")
    assert done.returncode == 0
    assert leftovers(tmp_path, "prompts.json") == ["out.seg.nrrd"]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no HOME")
def test_a_run_needs_no_home(scan, marked, tmp_path):
    for home in (str(tmp_path / "prompts.json"), "/nonexistent"):
        command = ["propagate", scan, "--prompts", marked(segment()), "--output", tmp_path / "out.nrrd", "--range", "9:11"]
        changed = environment(HOME=home)
        for name in ("SAMSEGMENTER_MODELS", "XDG_DATA_HOME", "XDG_CACHE_HOME"):
            changed.pop(name, None)
        done = subprocess.run([*PROGRAM, *map(str, command)], capture_output=True, text=True, env=changed, timeout=300)
        assert (done.returncode, done.stderr) == (0, "")


def test_without_a_home_folder_there_is_no_folder_of_models(tmp_path, monkeypatch, samsegmenter):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(folders.FOLDER_VARIABLE, raising=False)
    monkeypatch.setattr(folders, "user_data_dir", lambda *names, **options: os.path.join("~", ".local", "share"))
    with pytest.raises(OutputError, match=r"\(there is no home folder\)\. Name one in the variable SAMSEGMENTER_MODELS"):
        folders.receiving_folder()
    assert samsegmenter("models").code == 0
    assert not leftovers(tmp_path)

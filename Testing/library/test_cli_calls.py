"""What can be asked on the command line: help names it, and wrong calls exit with 2 and change nothing."""

import subprocess
import sys

import pytest

import SAMSegmenterLib
from cli_steps import LIBRARY, assert_wrong_call, leftovers

pytest_plugins = ["cli_fixtures"]


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ([], ["propagate", "demo", "models", "info", "--version"]),
        (["propagate"], ["VOLUME", "--prompts", "--output", "--model", "--device", "--mode", "--range", "--stats", "--overlap"]),
        (["propagate"], ["--propose", "--on", "--keyframes-by", "--each-slice"]),
        (["demo"], ["--output", "--volume", "--prompts"]),
        (["models"], ["List"]),
        (["info"], ["VOLUME", "--series", "its UID, the beginning of it, or its description"]),
    ],
)
def test_help_names_every_option(samsegmenter, monkeypatch, command, words):
    monkeypatch.setenv("COLUMNS", "200")
    outcome = samsegmenter(*command, "--help")
    assert outcome.code == 0
    for word in words:
        assert word in outcome.out


def test_version(samsegmenter):
    assert samsegmenter("--version").out.split() == ["samsegmenter", SAMSegmenterLib.__version__]


def test_help_comes_without_heavy_imports():
    code = (
        "import sys\nfrom SAMSegmenterLib.cli import main\n"
        "try: main(['propagate', '--help'])\n"
        "except SystemExit: sys.exit(bool({'torch', 'sam2', 'SimpleITK'} & sys.modules.keys()))"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=LIBRARY, stdout=subprocess.DEVNULL)


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["no-such-command"],
        ["propagate"],
        ["propagate", "v.nrrd"],
        ["propagate", "v.nrrd", "--prompts", "p.json"],
        ["propagate", "v.nrrd", "--prompts", "p.json", "--output", "o.nii.gz", "--device", "abacus"],
        ["propagate", "v.nrrd", "--prompts", "p.json", "--output", "o.nii.gz", "--mode", "sloppy"],
        ["propagate", "v.nrrd", "--prompts", "p.json", "--output", "o.nii.gz", "--no-such-option"],
        ["demo", "--volume", "v.nrrd"],
        ["demo", "--prompts", "p.json"],
        ["demo", "--series", "1.2.3"],
        ["info"],
    ],
)
def test_wrong_calls_exit_with_2(samsegmenter, tmp_path, monkeypatch, arguments):
    monkeypatch.chdir(tmp_path)
    assert_wrong_call(samsegmenter(*arguments))
    assert not leftovers(tmp_path)


@pytest.mark.parametrize("text", ["3", "3-5", "a:b", ":5", "3:", "3:4:5", "1.5:3", "\N{SUPERSCRIPT TWO}:3"])
def test_a_malformed_range_is_a_wrong_call(propagate, out, text):
    assert_wrong_call(propagate("--range", text), "FIRST:LAST")
    assert not out.exists()


@pytest.mark.parametrize("text", ["40", "a,b", "40,0", "40,-5", "40,nan"])
def test_a_malformed_window_is_a_wrong_call(propagate, out, text):
    assert_wrong_call(propagate("--window", text), "LEVEL,WIDTH")
    assert not out.exists()

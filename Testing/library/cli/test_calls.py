"""What can be asked on the command line: help names it, and wrong calls exit with 2 and change nothing."""

import re
import subprocess
import sys

import pytest

import SAMSegmenterLib
from SAMSegmenterLib.imageio import write_volume
from SAMSegmenterLib.models import catalog
from support.cli_steps import LIBRARY, assert_wrong_call, leftovers
from support.phantoms import ball


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ([], ["propagate", "demo", "models", "info", "--version"]),
        (["propagate"], ["VOLUME", "--prompts", "--output", "--model", "--device", "--mode", "--range", "--stats", "--overlap"]),
        (["propagate"], ["--propose", "--on", "--keyframes-by", "--each-slice"]),
        (["demo"], ["--output", "--volume", "--prompts"]),
        (["models"], ["List"]),
        (["info"], ["VOLUME", "--resample", "--series", "its UID, the beginning of it, or its description"]),
    ],
)
def test_help_names_every_option(samsegmenter, monkeypatch, command, words):
    monkeypatch.setenv("COLUMNS", "200")
    outcome = samsegmenter(*command, "--help")
    assert outcome.code == 0
    for word in words:
        assert word in outcome.out


@pytest.mark.parametrize(
    ("command", "example"),
    [
        ("propagate", "propagate ct.nii.gz --prompts prompts.json --output liver.seg.nrrd"),
        ("demo", "demo --output demo"),
        ("info", "info ct.nii.gz"),
        ("evaluate", "evaluate data --output report --protocol box,mask-3 --objects liver"),
        ("train-default", "train-default --output run --minutes 25"),
    ],
)
def test_help_gives_an_example(samsegmenter, monkeypatch, command, example):
    monkeypatch.setenv("COLUMNS", "200")
    assert f"Example: samsegmenter {example}" in samsegmenter(command, "--help").out


def test_prompts_of_the_example_can_be_used(samsegmenter, propagate, tmp_path, out, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    (example,) = re.findall(r'\{"version.*\}', samsegmenter("propagate", "--help").out)
    volume, prompts = tmp_path / "ct.nii.gz", tmp_path / "example.json"
    write_volume(volume, ball(58, 100, 20)[0])
    prompts.write_text(example, encoding="utf-8")
    outcome = propagate("--range", "56:57", volume=volume, prompts=prompts)
    assert outcome.code == 0, outcome.err


def test_help_tells_which_model_is_used_if_none_is_chosen(samsegmenter, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    for command in ("propagate", "demo", "evaluate"):
        assert f"Default: {catalog.default_id()}." in samsegmenter(command, "--help").out


def test_version(samsegmenter):
    assert samsegmenter("--version").out.split() == ["samsegmenter", SAMSegmenterLib.__version__]


def test_help_comes_without_heavy_imports():
    code = (
        "import sys\nfrom SAMSegmenterLib.cli.main import main\n"
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
        ["demo", "--resample"],
        ["info"],
    ],
)
def test_wrong_calls_exit_with_2(samsegmenter, tmp_path, monkeypatch, arguments):
    monkeypatch.chdir(tmp_path)
    assert_wrong_call(samsegmenter(*arguments))
    assert not leftovers(tmp_path)


@pytest.mark.parametrize("text", ["3", "3-5", "a:b", ":5", "3:", "3:4:5", "1.5:3", "\N{SUPERSCRIPT TWO}:3"])
def test_a_malformed_range_is_a_wrong_call(propagate, out, text):
    assert_wrong_call(propagate("--range", text), "Invalid value for '--range': expected FIRST:LAST")
    assert not out.exists()


def test_a_range_that_is_the_wrong_way_round_is_a_wrong_call(propagate, out):
    words = "Invalid value for '--range': FIRST must not lie behind LAST; did you mean 8:12?"
    assert_wrong_call(propagate("--range", "12:8"), words)
    assert not out.exists()


@pytest.mark.parametrize("text", ["40", "a,b", "40,0", "40,-5", "40,nan"])
def test_a_malformed_window_is_a_wrong_call(propagate, out, text):
    assert_wrong_call(propagate("--window", text), "Invalid value for '--window': expected LEVEL,WIDTH")
    assert not out.exists()

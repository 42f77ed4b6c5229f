"""Networks that need no prompts propose what is then carried on."""

import json

import numpy as np
import pytest

from SAMSegmenterLib.models import loading
from support.cli_steps import MIDDLE, SIDE, SLICES, assert_refused, assert_wrong_call, labels_in, leftovers
from support.phantoms import ball


class Bright:
    """Proposes what is bright."""

    why = ""

    def propose(self, pixels):
        return pixels.astype(np.float32) - 127


@pytest.fixture
def a_proposer(monkeypatch):
    """Loaded in place of any that is asked for; the names and devices asked for."""
    asked = []
    monkeypatch.setattr(loading, "load_proposer", lambda model, device: asked.append((model, device)) or Bright())
    return asked


def test_what_is_proposed_on_a_slice_is_carried_on(samsegmenter, scan, tmp_path, a_proposer):
    output, stats = tmp_path / "out.seg.nrrd", tmp_path / "stats.json"
    asked = "propagate", scan, "--output", output, "--stats", stats, "--propose", "sam2-unet", "--on", MIDDLE, "--device", "cpu"
    outcome = samsegmenter(*asked, "--on", MIDDLE + 2)
    assert outcome.code == 0, outcome
    assert a_proposer == [("sam2-unet", "cpu")]
    (told,) = json.loads(stats.read_text())["segments"]
    assert told["name"] == "sam2-unet"
    assert told["keyframes"] == [MIDDLE, MIDDLE + 2]
    found, truth = labels_in(output) > 0, ball(SLICES, SIDE, 9)[1]
    assert (found & truth).sum() > 0.85 * truth.sum()


def test_a_file_gives_the_segment_its_name(samsegmenter, scan, tmp_path, a_proposer):
    (tmp_path / "ball.v2.pth").write_bytes(b"weights")
    stats = tmp_path / "stats.json"
    outcome = samsegmenter(
        *("propagate", scan, "--output", tmp_path / "out.nii.gz", "--stats", stats, "--range", f"{MIDDLE}:{MIDDLE + 1}"),
        *("--propose", tmp_path / "ball.v2.pth", "--on", MIDDLE),
    )
    assert outcome.code == 0, outcome
    assert json.loads(stats.read_text())["segments"][0]["name"] == "ball.v2"


@pytest.mark.parametrize(("index", "words"), [(0, "finds nothing on slice 0"), (SLICES, f"no slice {SLICES}")])
def test_a_slice_without_a_proposal_is_told(samsegmenter, scan, tmp_path, a_proposer, index, words):
    outcome = samsegmenter("propagate", scan, "--output", tmp_path / "out.nii.gz", "--propose", "sam2-unet", "--on", index)
    assert_refused(outcome, words)
    assert not leftovers(tmp_path)


def test_a_model_that_needs_prompts_proposes_nothing(samsegmenter, scan, tmp_path):
    asked = "propagate", scan, "--output", tmp_path / "out.nii.gz", "--on", MIDDLE
    assert_refused(samsegmenter(*asked, "--propose", "samsegmenter-pico"), "a model is wanted that proposes masks")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ([], "--prompts, a file of what is marked, or --propose"),
        (["--prompts", "p.json", "--propose", "sam2-unet", "--on", "3"], "either --prompts"),
        (["--propose", "sam2-unet"], "--propose and --on belong together"),
        (["--prompts", "p.json", "--on", "3"], "--propose and --on belong together"),
        (["--propose", "sam2-unet", "--on", "3", "--keyframes-by", "sam-vit-b"], "leave one of them out"),
    ],
)
def test_one_thing_is_said_of_what_to_begin_from(samsegmenter, tmp_path, options, words):
    assert_wrong_call(samsegmenter("propagate", "v.nrrd", "--output", tmp_path / "o.nii.gz", *options), words)

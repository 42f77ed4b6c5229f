"""Other models in the effect: chosen, fetched if the user agrees, and making keyframes for the one that propagates."""

import errno
import hashlib
from dataclasses import replace

import numpy as np
import pytest
import slicer

from SAMSegmenterLib.in_slicer.module import requirements
from SAMSegmenterLib.models import catalog
from SAMSegmenterLib.models.storage import store
from support import loopback
from support.effect_steps import BALL, dice, two_balls

PICO, TINY = "samsegmenter-pico", "sam2.1-hiera-tiny"
CONTENT = bytes(range(256)) * 400


@pytest.fixture
def host_of_models(monkeypatch, tmp_path):
    """Serves what the catalog then calls SAM 2.1 tiny; the folder of models is empty."""
    monkeypatch.setenv(store.FOLDER_VARIABLE, str(tmp_path))
    with loopback.host(CONTENT) as running:
        published = {"url": running.url, "bytes": len(CONTENT), "sha256": hashlib.sha256(CONTENT).hexdigest()}
        entries = tuple(replace(entry, **published) if entry.id == TINY else entry for entry in catalog.entries())
        monkeypatch.setattr(catalog, "entries", lambda: entries)
        yield running


def test_a_model_is_downloaded_and_chosen_if_the_user_agrees(work, host_of_models):
    work.choose(work.panel.model, TINY)
    assert work.host.wait_until(lambda: work.parameter("Model") == TINY, 10)
    assert store.status(catalog.entry(TINY)).read_bytes() == CONTENT
    assert "Downloaded" in work.message
    (question,) = work.host.user.texts("question")
    assert all(word in question for word in ("Licence: Apache-2.0", "Download", host_of_models.url))


def test_nothing_is_downloaded_if_the_user_declines(work, host_of_models):
    work.host.user.will_answer("question", False)
    work.choose(work.panel.model, TINY)
    work.host.process_events()
    assert not work.effect.fetcher.busy
    assert work.parameter("Model") != TINY
    assert store.status(catalog.entry(TINY)) is None


def test_a_failed_download_is_told_and_the_model_stays_as_it_was(work, host_of_models, monkeypatch):
    others = tuple(replace(entry, sha256="0" * 64) for entry in catalog.entries())
    monkeypatch.setattr(catalog, "entries", lambda: others)
    work.choose(work.panel.model, TINY)
    assert work.host.wait_until(lambda: work.warned and not work.effect.fetcher.busy, 10)
    assert "is not the file known as" in work.message
    assert work.parameter("Model") != TINY


def test_one_download_at_a_time(work, host_of_models):
    host_of_models.script.append(loopback.is_slow(0.2, 20))
    work.choose(work.panel.model, TINY)
    work.choose(work.panel.keyframe_model, TINY)
    assert work.warned
    assert "Another model is being downloaded" in work.message
    assert not work.parameter("KeyframeModel")
    assert work.host.wait_until(lambda: work.parameter("Model") == TINY, 20)
    assert len(work.host.user.texts("question")) == 1


def test_a_choice_during_a_download_stands_when_the_download_ends(work, host_of_models):
    host_of_models.script.append(loopback.is_slow(0.05, 10))
    work.choose(work.panel.model, TINY)
    work.effect._act("model", PICO)
    assert work.parameter("Model") == PICO
    assert work.host.wait_until(lambda: not work.effect.fetcher.busy, 20)
    assert work.parameter("Model") == PICO
    assert store.status(catalog.entry(TINY))


def test_during_a_download_one_works_on(work, host_of_models):
    host_of_models.script.append(loopback.is_slow(0.2, 20))
    work.choose(work.panel.model, TINY)
    work.segment_by_box()
    work.press("apply")
    assert work.effect.fetcher.busy
    np.testing.assert_array_equal(work.segment(), work.truth == 1)
    work.press("stop_keep")
    assert work.host.wait_until(lambda: not work.effect.fetcher.busy, 20)
    assert not work.panel.actions["stop_keep"].enabled


def test_a_model_whose_package_is_missing_is_neither_downloaded_nor_chosen(work, host_of_models, monkeypatch):
    monkeypatch.setattr(requirements, "_version", lambda requirement: None if requirement.name == "timm" else "99")
    work.choose(work.panel.model, "edgetam")
    assert work.warned
    assert "timm" in work.message
    assert not work.host.user.texts("question")
    assert work.parameter("Model") != "edgetam"


def test_in_place_of_a_model_that_is_not_known_here_any_can_be_chosen(work):
    work.effect.scriptedEffect.setParameter("Model", "of-another-computer")
    work.effect.update()
    assert not work.panel.model.currentText
    work.choose(work.panel.model, PICO)
    assert work.parameter("Model") == PICO


def test_models_that_propagate_can_make_the_keyframes_too(work):
    offered = [work.panel.keyframe_model.itemData(n) for n in range(work.panel.keyframe_model.count)]
    assert {"", "sam-vit-b", PICO, TINY} <= set(offered)
    assert "sam2-unet" not in offered


class Bright:
    """Proposes what is bright."""

    def __init__(self, level):
        self.level = level

    def propose(self, pixels):
        return pixels.astype(np.float32) - self.level


@pytest.fixture
def a_proposer(monkeypatch, work):
    """Any model that finds without prompts finds what is bright; at once, and is on this computer."""
    from SAMSegmenterLib.in_slicer.effect import workbench

    proposer = Bright(level=20)
    monkeypatch.setattr(workbench, "open_proposer", lambda chosen, device: proposer)
    monkeypatch.setattr(store, "status", lambda entry: store.SHIPPED)
    work.choose(work.panel.proposer, "sam2-unet")
    return proposer


def test_what_a_model_proposes_on_a_slice_becomes_its_keyframe(work, a_proposer):
    *_, k = work.middle()
    work.press("propose")
    work.wait()
    assert not work.warned, work.message
    assert work.keyframes() == [k]
    bright = slicer.util.arrayFromVolume(work.volume)[k] > BALL / 2
    assert dice(work.marks[0].mask, bright) > 0.95
    assert dice(work.preview()[k], bright) > 0.95
    work.press("undo")
    assert not work.marks


def test_a_slice_on_which_nothing_is_proposed_is_told(work, a_proposer):
    a_proposer.level = 256
    work.press("propose")
    work.wait()
    assert work.warned
    assert "finds nothing on slice" in work.message
    assert not work.marks


def test_a_proposal_for_a_segment_that_was_removed_meanwhile_is_dropped(work, a_proposer):
    work.press("propose")
    work.segmentation.GetSegmentation().RemoveSegment(work.id("liver"))
    work.wait()
    assert not work.marks


def test_a_proposal_waits_for_the_end_of_a_run_that_was_begun_meanwhile(work, a_proposer, quick_network):
    work.draw_box()
    work.wait()
    *_, k = work.middle()
    work.go_to(k + 2)
    work.press("propose")
    work.propagate_and_pause(quick_network, 4)
    assert work.keyframes() == [k]
    quick_network.go_on()
    work.wait()
    assert work.keyframes() == [k, k + 2]
    assert dice(work.preview()[k + 2], work.marks[-1].mask) > 0.95


def test_proposing_needs_a_model_for_it(work):
    work.press("propose")
    assert "Choose a model under 'Proposals by'" in work.message
    assert [work.panel.proposer.itemData(n) for n in range(work.panel.proposer.count)] == ["", "sam2-unet"]


@pytest.fixture
def unreadable(request, tmp_path, monkeypatch):
    """The models of this computer cannot be listed: for a damaged record, or for a share that is gone."""
    monkeypatch.setenv(store.FOLDER_VARIABLE, str(tmp_path))
    if request.param == "a damaged record":
        (tmp_path / store.OWN).write_text("{")
        return store.OWN

    def is_gone(entry):
        raise OSError(errno.ENOTCONN, "Transport endpoint is not connected")

    monkeypatch.setattr(store, "status", is_gone)
    return "not connected"


@pytest.mark.parametrize("unreadable", ["a damaged record", "a share that is gone"], indirect=True)
def test_the_effect_works_though_models_cannot_be_listed(unreadable, work):
    assert work.warned
    assert unreadable in work.message
    work.segment_by_box()
    work.press("apply")
    assert dice(work.segment(), work.truth == 1) > 0.9


@pytest.mark.parametrize("unreadable", ["a damaged record"], indirect=True)
def test_published_models_are_offered_beside_a_damaged_record(unreadable, work):
    work.choose(work.panel.keyframe_model, PICO)
    assert work.parameter("KeyframeModel") == PICO


def test_a_model_of_single_slices_makes_the_keyframes(at_work):
    work = at_work(*two_balls())
    work.effect._act("setting", "KeyframeModel", PICO)
    work.segment_by_box()
    assert not work.warned, work.message
    assert dice(work.preview(), work.truth == 1) > 0.7


@pytest.mark.parametrize("mode", ["Place", "AdjustWindowLevel"])
def test_a_click_that_has_another_task_is_no_prompt(work, mode):
    interaction = slicer.app.applicationLogic().GetInteractionNode()
    interaction.SetCurrentInteractionMode(getattr(interaction, mode))
    try:
        work.click(*work.middle())
        assert not work.marks
    finally:
        interaction.SetCurrentInteractionMode(interaction.ViewTransform)
    work.click(*work.middle())
    assert len(work.marks) == 1

"""Other networks in the effect: chosen, fetched if the user agrees, and making keyframes for the one that propagates."""

import hashlib
from dataclasses import replace

import pytest
import slicer

import loopback
from effect_steps import dice, two_balls
from SAMSegmenterLib.models import catalog, store

pytest_plugins = ["effect_fixtures"]

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


def test_a_network_is_downloaded_and_chosen_if_the_user_agrees(work, host_of_models):
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


def test_a_failed_download_is_told_and_the_network_stays_as_it_was(work, host_of_models, monkeypatch):
    others = tuple(replace(entry, sha256="0" * 64) for entry in catalog.entries())
    monkeypatch.setattr(catalog, "entries", lambda: others)
    work.choose(work.panel.model, TINY)
    assert work.host.wait_until(lambda: work.warned and not work.effect.fetcher.busy, 10)
    assert "is not the file known as" in work.message
    assert work.parameter("Model") != TINY


def test_a_network_of_single_slices_makes_the_keyframes(at_work):
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

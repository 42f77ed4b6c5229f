"""Fixtures of the tests of the effect."""

from __future__ import annotations

import gc
from typing import Any

import numpy as np
import pytest
import slicer

from slicerhost.hands import SliceView
from slicerhost.pythonqt import NO_SIGNAL
from support.effect_steps import NAME, Work, fingerprint, lps, two_balls
from support.quick_network import QuickNetwork, QuickSession


def load_effect(host: Any) -> None:
    """Register the effect as the module SAMSegmenter does at start-up, unless that has been done."""
    if any(each.name == NAME for each in slicer.qSlicerSegmentEditorEffectFactory.instance().registeredEffects()):
        return
    import SAMSegmenter

    SAMSegmenter.register_effect()


@pytest.fixture(scope="session")
def effect_host(slicer_host):
    """Slicer with the effect."""
    load_effect(slicer_host)
    gc.freeze()  # the host collects garbage around each test, which need not go through all of torch every time
    yield slicer_host
    gc.unfreeze()


@pytest.fixture
def quick_network(effect_host, monkeypatch):
    """All sessions find by brightness, at once."""
    from SAMSegmenterLib.in_slicer.effect import workbench

    network = QuickNetwork()
    monkeypatch.setattr(workbench, "open_session", lambda stack, chosen: QuickSession(stack, network))
    monkeypatch.setattr(workbench, "open_model", lambda chosen, device: None)
    yield network
    network.go_on()


@pytest.fixture
def at_work(effect_host, scene):
    """Sits the user down before a new editor; when the test ends, nothing may have been raised and no source volume changed."""
    volumes: list[tuple[Any, str]] = []

    def sit_down(
        voxels: np.ndarray,
        truth: np.ndarray,
        ijk_to_ras: np.ndarray | None = None,
        segments: tuple[str, ...] = ("liver", "spleen"),
        volume: Any = None,
    ) -> Work:
        if volume is None:
            volume = effect_host.make_volume(voxels, lps() if ijk_to_ras is None else ijk_to_ras, "image")
        volumes.append((volume, fingerprint(volume)))
        editor = effect_host.make_editor(volume, segments, _editor_node(effect_host))
        editor.setActiveEffectByName(NAME)
        work = Work(effect_host, editor, volume, truth, SliceView("Red"))
        work.settle()
        work.view.fit()
        work.go_to(work.middle()[2])
        for name in segments:
            work.id(name)
        return work

    yield sit_down
    assert not effect_host.exceptions
    assert not [each for each in effect_host.complaints if each.startswith(NO_SIGNAL)]
    for volume, before in volumes:
        assert not slicer.mrmlScene.IsNodePresent(volume) or fingerprint(volume) == before


@pytest.fixture
def work(quick_network, at_work):
    """Two balls, to become "liver" and "spleen", and the quick network."""
    return at_work(*two_balls())


def _editor_node(host: Any) -> Any:
    """The node that the module SegmentEditor keeps over scenes; a new one if another editor has that."""
    node = slicer.mrmlScene.GetSingletonNode("SegmentEditor", "vtkMRMLSegmentEditorNode")
    if node is None:
        node = slicer.mrmlScene.CreateNodeByClass("vtkMRMLSegmentEditorNode")
        node.UnRegister(None)
        node.SetHideFromEditors(True)
        node.SetSingletonTag("SegmentEditor")
        return slicer.mrmlScene.AddNode(node)
    return None if any(each.mrmlSegmentEditorNode() is node for each in host.editors) else node

"""Fixtures of the tests of the module."""

from __future__ import annotations

import pytest

from support.module_steps import SOURCE


@pytest.fixture
def the_module(slicer_host, scene):
    """Loaded, and the effect registered as at start-up."""
    slicer_host.unload_effect("SAMSegmenter")
    module = slicer_host.load_module(SOURCE)
    slicer_host.finish_startup()
    yield module
    module.cleanup()


@pytest.fixture
def the_panel(the_module):
    return the_module.widgetRepresentation().self().panel

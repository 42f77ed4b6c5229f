"""The module's panel: which packages and models are installed, whether they work, and where to begin."""

from __future__ import annotations

from typing import Any

import qt
import slicer
from slicer.i18n import tr as _

from ... import __version__
from . import samples
from .models_section import ModelsSection
from .packages_section import PackagesSection
from .selftest_section import SelfTestSection
from .widgets import button, row, section, text_label

HOMEPAGE = "https://github.com/SAMSegmenter/SlicerSAMSegmenter"
TUTORIAL = f"{HOMEPAGE}/blob/main/docs/tutorial.md"


class ModulePanel:
    """Everything below the module's help. Making it imports no torch.

    Args:
        layout: of the module's widget, to which the parts are added.
    """

    def __init__(self, layout: Any) -> None:
        self.models = ModelsSection()
        self.packages = PackagesSection(self.models.update)
        self.self_test = SelfTestSection()
        for widget in (self.packages.widget, self.models.widget, self.self_test.widget, _try_it(), _help()):
            layout.addWidget(widget)
        layout.addStretch(1)
        self.update()

    def update(self) -> None:
        """Look again at what is installed, as when the user comes back to the module."""
        self.packages.update()
        self.models.update()

    def close(self) -> None:
        """Stop what runs in the background."""
        self.models.close()
        self.self_test.close()


def _try_it() -> Any:
    part, layout = section(_("Try it"))
    phantom = button(_("Load phantom"), _("A torso made by code, as an image in the scene. Needs no internet."), samples.load_phantom)
    download = button(
        _("Download a CT\N{HORIZONTAL ELLIPSIS}"), _("A CT of the abdomen from Slicer's own sample data; asks first."), samples.download_ct
    )
    editor = button(
        _("Open Segment Editor"),
        _("Add a segment there, then choose the effect SAM Segmenter."),
        lambda: slicer.util.selectModule("SegmentEditor"),
    )
    layout.addWidget(row(phantom, download))
    layout.addWidget(editor)
    return part


def _help() -> Any:
    text = _(
        '<a href="{tutorial}">Tutorial</a>, <a href="{homepage}">documentation</a>. Version {version}. Images are segmented on this '
        "computer and never leave it. Research use only, not for diagnosis."
    )
    label = text_label(text.format(tutorial=TUTORIAL, homepage=HOMEPAGE, version=__version__))
    label.setAlignment(qt.Qt.AlignTop)
    return label

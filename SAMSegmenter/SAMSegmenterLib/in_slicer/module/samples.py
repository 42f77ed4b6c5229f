"""Gets images to try the effect on."""

from __future__ import annotations

from typing import Any

import slicer
from slicer.i18n import tr as _

from ...errors import InputError
from ...phantom import make_phantom

LEVEL_HU, WIDTH_HU = 40, 400
CT_SAMPLE = "CTLiver"  # of Slicer's own Sample Data module


def load_phantom(source: Any = None) -> list[slicer.vtkMRMLScalarVolumeNode]:
    """Add the built-in phantom to the scene and show it; without internet.

    Args:
        source: given by the Sample Data module; not used, as there is only one phantom.
    """
    volume, _labels, _names = make_phantom()
    node = slicer.util.addVolumeFromArray(volume.voxels, volume.ijk_to_ras, _("SAMSegmenter phantom"))
    node.CreateDefaultDisplayNodes()
    display = node.GetDisplayNode()
    display.AutoWindowLevelOff()
    display.SetWindowLevel(WIDTH_HU, LEVEL_HU)
    slicer.util.setSliceViewerLayers(background=node)
    if slicer.app.layoutManager():  # there is none without a main window
        slicer.util.resetSliceViews()
    return [node]


def download_ct() -> None:
    """Download a CT of the abdomen from Slicer's own sample data, if the user agrees.

    Raises:
        InputError: it could not be downloaded, as without internet.
    """
    import SampleData

    question = _("Slicer downloads its sample '{name}', a CT of the abdomen, about 90 MB. Continue?").format(name=CT_SAMPLE)
    if not slicer.util.confirmOkCancelDisplay(question, windowTitle="SAMSegmenter"):
        return
    if not any(SampleData.SampleDataLogic().downloadSamples(CT_SAMPLE)):
        raise InputError(_("Slicer could not download '{name}'. The log says why; the phantom needs no internet.").format(name=CT_SAMPLE))

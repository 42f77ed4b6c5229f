"""The Slicer module: registers the effect of the Segment Editor, and has a panel to set it up."""

from pathlib import Path

import slicer
from slicer.i18n import tr as _
from slicer.i18n import translate
from slicer.ScriptedLoadableModule import ScriptedLoadableModule, ScriptedLoadableModuleTest, ScriptedLoadableModuleWidget

import SAMSegmenterLib

HERE = Path(__file__).parent


class SAMSegmenter(ScriptedLoadableModule):
    """The module as Slicer knows it before it is opened. Nothing is installed or downloaded here."""

    def __init__(self, parent):
        ScriptedLoadableModule.__init__(self, parent)
        parent.title = _("SAMSegmenter")
        parent.categories = [translate("qSlicerAbstractCoreModule", "Segmentation")]
        parent.dependencies = ["Segmentations"]
        parent.contributors = ["SAMSegmenter contributors"]
        parent.helpText = _(
            "Sets up the effect <b>SAM Segmenter</b> of the Segment Editor: mark an organ or lesion on one slice and get it in the "
            "whole volume. Nothing leaves the computer. Research use only, not for diagnosis. "
            '<a href="{homepage}/blob/main/docs/tutorial.md">Tutorial</a>, <a href="{homepage}">documentation</a>.'
        ).format(homepage="https://github.com/SAMSegmenter/SlicerSAMSegmenter")
        parent.acknowledgementText = _(
            "SAM 2: Ravi et al., <i>SAM 2: Segment Anything in Images and Videos</i>, 2024. Each model names its licence and "
            "what to cite in the panel of this module."
        )
        slicer.app.connect("startupCompleted()", register)


def register():
    """Add the effect to the Segment Editor, and the phantom to the Sample Data module; Slicer waits for this at every start."""
    register_effect()
    register_sample()


def register_effect():
    """Offer the effect to every Segment Editor that is opened from now on."""
    import qSlicerSegmentationsEditorEffectsPythonQt as effects

    from SAMSegmenterLib.SegmentEditorEffect import SegmentEditorEffect

    # The loader calls the effect's module like its folder, and takes the class from a module of that name if it is loaded.
    # Otherwise it would run the file outside of its package, where relative imports fail.
    SAMSegmenterLib.SegmentEditorEffect = SegmentEditorEffect
    effect = effects.qSlicerSegmentEditorScriptedEffect(None)
    effect.setPythonSource((HERE / "SAMSegmenterLib" / "SegmentEditorEffect.py").as_posix())
    effect.self().register()


def register_sample():
    """Offer the phantom in the Sample Data module, if there is one.

    Its button there calls `load_phantom`. `SampleDataLogic.downloadSample` cannot load it, as it goes by `uris` and ignores custom
    downloaders.
    """
    if not hasattr(slicer.modules, "sampledata"):
        return
    import SampleData

    SampleData.SampleDataLogic.registerCustomSampleDataSource(
        category="SAMSegmenter",
        sampleName="SAMSegmenterPhantom",
        uris="",  # it is made, not downloaded
        fileNames="SAMSegmenterPhantom.nrrd",
        nodeNames="SAMSegmenterPhantom",
        thumbnailFileName=str(HERE / "Resources" / "Icons" / "SAMSegmenter.png"),
        customDownloader=load_phantom,
    )


def load_phantom(source=None):
    """Add the built-in phantom to the scene; see `samples.load_phantom`."""
    from SAMSegmenterLib.in_slicer.module import samples

    return samples.load_phantom(source)


class SAMSegmenterWidget(ScriptedLoadableModuleWidget):
    """The module's panel."""

    def __init__(self, parent=None):
        ScriptedLoadableModuleWidget.__init__(self, parent)
        self.panel = None

    def setup(self):
        """Make the panel, when the module is first opened."""
        from SAMSegmenterLib.in_slicer.module.panel import ModulePanel

        ScriptedLoadableModuleWidget.setup(self)
        self.panel = ModulePanel(self.layout)

    def enter(self):
        """Update the panel: the user may have installed something elsewhere."""
        if self.panel:
            self.panel.update()

    def cleanup(self):
        """Close the panel."""
        if self.panel:
            self.panel.close()
            self.panel = None


class SAMSegmenterTest(ScriptedLoadableModuleTest):
    """Tests of what must hold in every Slicer, with or without torch."""

    def setUp(self):
        """Clear the scene."""
        slicer.mrmlScene.Clear()

    def runTest(self):
        """Run all tests."""
        for test in (self.test_the_effect_is_registered, self.test_the_panel_opens, self.test_the_phantom_loads):
            self.setUp()
            test()

    def test_the_effect_is_registered(self):
        """Check that editors have the effect."""
        editor = slicer.qMRMLSegmentEditorWidget()
        editor.setMRMLScene(slicer.mrmlScene)
        assert editor.effectByName("SAMSegmenter") is not None

    def test_the_panel_opens(self):
        """Check that the module's panel can be made."""
        slicer.modules.samsegmenter.widgetRepresentation()
        assert slicer.modules.SAMSegmenterWidget.panel is not None

    def test_the_phantom_loads(self):
        """Check that the phantom has air and bone."""
        from SAMSegmenterLib.in_slicer.module import samples

        (node,) = samples.load_phantom()
        low, high = slicer.util.arrayFromVolume(node).min(), slicer.util.arrayFromVolume(node).max()
        assert low < -900  # air
        assert high > 200  # bone

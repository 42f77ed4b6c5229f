"""Effects are loaded, called and believed exactly as far as Slicer does it."""

import sys

import numpy as np
import pytest
import slicer

HEAD = """
from SegmentEditorEffects import AbstractScriptedSegmentEditorEffect

class SegmentEditorEffect(AbstractScriptedSegmentEditorEffect):
    def __init__(self, scriptedEffect):
        scriptedEffect.name = {name!r}
        super().__init__(scriptedEffect)
"""

CLONE = """
    def clone(self):
        import qSlicerSegmentationsEditorEffectsPythonQt as effects
        copy = effects.qSlicerSegmentEditorScriptedEffect(None)
        copy.setPythonSource(__file__)
        return copy
"""


@pytest.fixture
def write_effect(slicer_host, scene, tmp_path):
    """Write an effect of this name, with further code, into a folder of that name with "Lib"; loads it; unloaded at the end."""
    written = []

    def write(name, code="", file="SegmentEditorEffect.py"):
        path = tmp_path / f"{name}Lib" / file
        path.parent.mkdir(exist_ok=True)
        path.write_text(HEAD.format(name=name) + code)
        written.append(name)
        return slicer_host.load_effect(path)

    yield write
    for name in written:
        slicer_host.unload_effect(name)
        sys.modules.pop(f"{name}Lib", None)


@pytest.fixture
def block(block_effect, an_editor):
    """The active effect, as C++ sees it."""
    an_editor.setActiveEffectByName(block_effect)
    return an_editor.activeEffect()


def test_an_effect_becomes_the_module_named_like_its_folder(write_effect):
    assert write_effect("Lone")
    assert sys.modules["LoneLib"].SegmentEditorEffect is type(slicer.LoneLib)
    assert not hasattr(sys.modules["LoneLib"], "__path__")


def test_a_module_that_is_loaded_already_provides_the_class(write_effect, slicer_host, tmp_path):
    assert write_effect("Known")
    before = sys.modules["KnownLib"].SegmentEditorEffect
    again = slicer.qSlicerSegmentEditorScriptedEffect(None)
    assert again.setPythonSource(str(tmp_path / "KnownLib" / "SegmentEditorEffect.py"))
    assert type(again.self()) is before


def test_the_class_is_named_like_the_file_and_must_end_in_effect(write_effect, slicer_host):
    assert write_effect("Short", file="SegmentEditor.py")
    assert not write_effect("Other", file="Something.py")
    assert "Something.py" in slicer_host.complaints[-1]


def test_the_same_name_is_registered_once(write_effect, block_effect):
    assert not write_effect("Block")


def test_an_effect_that_cannot_be_imported_is_told_of_and_not_registered(write_effect, slicer_host):
    assert not write_effect("Broken", "\nfrom .helper import nothing\n")
    assert isinstance(slicer_host.exceptions[0], ImportError)


def test_methods_are_bound_once(block, a_slice_view):
    block.self().processInteractionEvents = lambda *_: 1 / 0
    a_slice_view.click((200, 200))
    assert block.self().heard


@pytest.mark.parametrize("answer", [1, None, np.bool_(True), "yes"])
def test_only_a_bool_keeps_an_event_from_others(block, slicer_host, a_slice_view, answer):
    heard = []
    tag = a_slice_view.widget.interactor().AddObserver("LeftButtonPressEvent", lambda *_: heard.append("view"))
    a_slice_view.press((200, 200))
    assert not heard
    assert not slicer_host.complaints
    block.self().answer = answer
    a_slice_view.press((200, 200))
    a_slice_view.widget.interactor().RemoveObserver(tag)
    assert heard == ["view"]
    assert "processInteractionEvents" in slicer_host.complaints[0]


def test_an_exception_in_a_method_is_remembered_and_the_event_goes_on(write_effect, slicer_host, an_editor, a_slice_view):
    write_effect("Raising", "\n    def processInteractionEvents(self, *_):\n        raise KeyError('prompt')\n" + CLONE)
    an_editor.updateEffectList()
    an_editor.setActiveEffectByName("Raising")
    a_slice_view.press((200, 200))
    assert {type(each) for each in slicer_host.exceptions} == {KeyError}


def test_parameters_are_text_and_doubles_keep_six_digits(block):
    for name, value in (("text", "a"), ("whole", 3), ("on", True), ("real", 1 / 3), ("large", 1234567.0), ("small", 1e-7)):
        block.setParameter(name, value)
    node = block.parameterSetNode()
    names = ("text", "whole", "on", "real", "large", "small")
    assert [node.GetAttribute(f"Block.{name}") for name in names] == ["a", "3", "True", "0.333333", "1.23457e+06", "1e-07"]
    assert block.doubleParameter("real") == 0.333333
    assert block.integerParameter("on") == 0
    with pytest.raises(TypeError):
        block.setParameter("real", np.float32(1))


def test_a_missing_parameter_is_empty_and_complained_of(block, slicer_host):
    assert (block.parameter("none"), block.integerParameter("none"), block.nodeReference("none")) == ("", 0, None)
    assert "'none'" in slicer_host.complaints[0]


def test_defaults_do_not_replace_and_common_parameters_are_found_last(block):
    block.setParameterDefault("Size", 9)
    block.setCommonParameter("Shared", "all")
    assert (block.integerParameter("Size"), block.parameter("Shared")) == (2, "all")
    block.setParameter("Shared", "own")
    assert block.parameter("Shared") == "own"
    assert block.commonParameterDefined("Shared")


def test_a_changed_parameter_updates_the_panel_of_the_active_effect_alone(block):
    block.setParameter("Size", 7)
    assert block.self().sizeBox.value == 7
    block.self().heard.clear()
    block.setParameter("Size", 7)
    assert not block.self().heard
    block.self().sizeBox.value = 3
    assert block.integerParameter("Size") == 3


def test_an_effect_may_stay_while_a_markup_is_placed(write_effect, an_editor, scene):
    hears = "\n    def interactionNodeModified(self, node):\n        self.mode = node.GetCurrentInteractionMode()\n"
    write_effect("Staying", hears + CLONE)
    an_editor.updateEffectList()
    an_editor.setActiveEffectByName("Staying")
    scene.GetNodeByID("vtkMRMLInteractionNodeSingleton").SwitchToSinglePlaceMode()
    assert an_editor.activeEffect().self().mode == slicer.vtkMRMLInteractionNode.Place


def test_a_node_can_be_a_parameter(block, a_volume, slicer_host):
    block.setNodeReference("Volume", a_volume)
    assert block.nodeReference("Volume") is a_volume
    slicer_host.scene.RemoveNode(a_volume)
    assert block.nodeReference("Volume") is None

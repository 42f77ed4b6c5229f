"""Where PySide6 and PythonQt differ, the host sides with PythonQt."""

import gc
import weakref
from threading import Thread

import numpy as np
import pytest


@pytest.fixture
def qt(slicer_host, scene):
    import qt

    return qt


@pytest.fixture
def button(qt):
    return qt.QPushButton("Apply")


def test_properties_are_attributes(qt, button):
    button.text = "Cancel"
    box = qt.QDoubleSpinBox()
    box.value = 3
    label = qt.QLabel()
    label.alignment = qt.Qt.AlignRight
    assert (button.text, button.enabled, box.value, label.alignment) == ("Cancel", True, 3.0, qt.Qt.AlignRight)
    with pytest.raises(TypeError):
        box.value()


def test_properties_take_what_pythonqt_converts_and_nothing_else(qt, button):
    box = qt.QSpinBox()
    box.value = 2.7
    button.text = 5
    assert (box.value, button.text) == (2, "5")
    with pytest.raises(AttributeError, match="does not accept"):
        box.value = "3"
    with pytest.raises(AttributeError, match="read-only"):
        button.width = 3


def test_objects_of_qt_take_no_other_attributes_but_those_derived_from_them_do(qt, button):
    class Derived(qt.QWidget):
        pass

    derived = Derived()
    derived.helper = 1
    assert derived.helper == 1
    assert derived.className() == "QWidget"
    with pytest.raises(AttributeError, match="no property 'helper'"):
        button.helper = 1


def test_signals_are_connected_by_signature_and_get_as_many_arguments_as_they_take(button):
    heard = []
    button.connect("clicked()", lambda: heard.append("none"))
    button.connect("clicked(bool)", heard.append)
    button.clicked.connect(lambda checked: heard.append(checked))
    button.click()
    assert heard == ["none", False, False]


def test_an_unknown_signal_is_not_connected_which_only_the_log_tells(qt, button, slicer_host):
    assert button.connect("klicked()", print) is False
    assert qt.QButtonGroup().connect("buttonClicked(int)", print) is False
    assert button.disconnect("klicked()", print) is False
    first, second, _third = slicer_host.complaints
    assert "clicked(bool)" in first
    assert "idClicked" in second
    assert not slicer_host.exceptions


@pytest.mark.parametrize("number", [np.float64(0.5), np.int64(1)])
def test_numbers_of_numpy_fit_no_method_and_no_property(qt, number):
    box = qt.QDoubleSpinBox()
    with pytest.raises(ValueError, match="setValue"):
        box.setValue(number)
    with pytest.raises(AttributeError, match="does not accept"):
        box.value = number
    box.setValue(float(number))
    assert box.value == number


def test_a_connection_can_be_taken_back_once(button):
    heard = []
    button.connect("clicked()", heard.clear)
    assert button.disconnect("clicked()", heard.clear)
    assert not button.disconnect("clicked()", heard.clear)


def test_a_single_shot_leaves_its_timer_behind(qt, slicer_host):
    import slicer

    heard, before = [], len(slicer.app.moduleManager().findChildren(qt.QTimer))
    qt.QTimer.singleShot(0, lambda: heard.append(1))
    assert slicer_host.wait_until(lambda: heard, 3)
    slicer_host.process_events()
    assert len(slicer.app.moduleManager().findChildren(qt.QTimer)) == before + 1


def test_an_exception_in_a_callback_is_remembered_and_stops_nothing(slicer_host, button):
    heard = []
    button.connect("clicked()", lambda: 1 / 0)
    button.connect("clicked()", lambda: heard.append("second"))
    button.click()
    assert heard == ["second"]
    assert [type(each) for each in slicer_host.exceptions] == [ZeroDivisionError]


def test_what_qt_makes_by_itself_has_the_same_manners(qt):
    heard = []
    menu = qt.QMenu()
    action = menu.addAction("Jump")
    action.connect("triggered()", lambda: heard.append(action.text))
    action.trigger()
    assert heard == ["Jump"]
    table = qt.QTableWidget(2, 2)
    assert table.horizontalHeader().className() == "QHeaderView"


def test_methods_take_no_keywords_and_there_are_no_signals_of_ones_own(qt, button):
    with pytest.raises(TypeError):
        button.setText(text="Apply")
    with pytest.raises(AttributeError):
        qt.Signal  # noqa: B018


def test_another_thread_reads_from_qt_unpunished_but_the_test_hears_of_it(slicer_host, button):
    thread = Thread(target=lambda: slicer_host.user.status.append(button.text))
    thread.start()
    thread.join()
    assert slicer_host.user.status == ["Apply"]
    assert "another thread" in str(slicer_host.exceptions[0])


def test_garbage_is_not_collected_by_another_thread(slicer_host):
    class Ring:
        def __init__(self):
            self.me = self

    collected, ring = [], Ring()
    weakref.finalize(ring, collected.append, "ring")
    del ring
    thread = Thread(target=lambda: [[] for _ in range(100_000)])
    thread.start()
    thread.join()
    assert not collected
    gc.collect()
    assert collected == ["ring"]


def test_questions_are_answered_by_the_test(slicer_host, qt):
    import slicer

    slicer_host.user.will_answer("question", False)
    slicer_host.user.will_answer("file", "/tmp/model.pt")
    assert not slicer.util.confirmOkCancelDisplay("Download 40 MB?")
    assert slicer.util.confirmOkCancelDisplay("Install?")
    assert qt.QFileDialog.getOpenFileName(None, "Checkpoint") == "/tmp/model.pt"
    assert qt.QMessageBox.question(None, "Title", "Sure?") == qt.QMessageBox.Yes
    assert slicer_host.user.texts("question") == ["Download 40 MB?", "Install?", "Sure?"]


def test_an_error_is_shown_and_raised_again(slicer_host):
    import slicer

    with pytest.raises(OSError, match="full"), slicer.util.tryWithErrorDisplay("Saving failed.", waitCursor=True):
        raise OSError("disk full")
    assert slicer_host.user.texts("error") == ["Saving failed.\n\ndisk full"]


def test_settings_are_kept_but_not_those_of_this_computer(qt, slicer_host):
    qt.QSettings().setValue("SAMSegmenter/device", "cpu")
    assert qt.QSettings().value("SAMSegmenter/device") == "cpu"
    assert "slicerhost" in qt.QSettings().fileName()


@pytest.mark.parametrize("name", ["ctkCollapsibleButton", "ctkSliderWidget", "ctkRangeWidget", "ctkComboBox", "ctkPathLineEdit"])
def test_widgets_of_ctk_can_be_made_shown_and_disabled(slicer_host, name):
    import ctk

    widget = getattr(ctk, name)()
    widget.enabled = False
    widget.toolTip = "help"
    widget.grab()
    assert widget.className() == name


def test_a_range_tells_of_both_its_ends(slicer_host):
    import ctk

    heard, widget = [], ctk.ctkRangeWidget()
    widget.setRange(-1000, 1000)
    widget.connect("valuesChanged(double,double)", lambda low, high: heard.append((low, high)))
    widget.setValues(-160, 240)
    widget.minimumValue = -100
    assert heard[0] == (-160, 240)
    assert heard[-1] == (-100, 240)


def test_a_collapsed_button_hides_what_is_in_it(qt):
    import ctk

    button, inside = ctk.ctkCollapsibleButton(), qt.QLabel("inside")
    qt.QFormLayout(button).addRow(inside)
    button.text, button.collapsed = "Advanced", True
    assert inside.isHidden()
    button.collapsed = False
    assert not inside.isHidden()


def test_a_node_selector_follows_the_scene(slicer_host, a_volume):
    import slicer

    heard, selector = [], slicer.qMRMLNodeComboBox()
    selector.nodeTypes = ["vtkMRMLScalarVolumeNode"]
    selector.connect("currentNodeChanged(vtkMRMLNode*)", heard.append)
    selector.setMRMLScene(slicer_host.scene)
    assert selector.currentNode() is a_volume
    slicer_host.scene.RemoveNode(a_volume)
    assert selector.currentNode() is None
    assert heard == [a_volume, None]


def test_a_node_selector_that_was_deleted_does_not_hear_of_the_scene(slicer_host, a_volume):
    import slicer

    selector = slicer.qMRMLNodeComboBox()
    selector.setMRMLScene(slicer_host.scene)
    selector.deleteLater()
    slicer_host.process_events()
    slicer_host.scene.RemoveNode(a_volume)
    assert not slicer_host.exceptions

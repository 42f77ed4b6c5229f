"""A program that used the host ends as programs should."""

import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parents[1]
FINDS_THE_HOST = {**os.environ, "PYTHONPATH": str(HERE)}
PROGRAM = f"""
import numpy as np
import slicerhost
from slicerhost.hands import SliceView

host = slicerhost.start()
assert host.load_effect({str(HERE / "BlockLib" / "SegmentEditorEffect.py")!r})
volume = host.make_volume(np.zeros((8, 9, 10), np.int16))
editor = host.make_editor(volume, ("liver",))
editor.setActiveEffectByName("Block")
SliceView("Red").click((200, 200))
assert not host.exceptions
slicerhost.stop()
"""


def test_it_exits_with_zero_five_times_in_a_row():
    running = [subprocess.Popen([sys.executable, "-c", PROGRAM], env=FINDS_THE_HOST, stderr=subprocess.PIPE) for _ in range(5)]
    ends = [(each.communicate()[1], each.returncode) for each in running]
    assert [code for _, code in ends] == [0] * 5, ends


def test_without_the_host_there_is_no_qt_and_no_application():
    program = "import slicer, slicerhost\nassert not hasattr(slicer, 'app')\nimport qt"
    ended = subprocess.run([sys.executable, "-c", program], env=FINDS_THE_HOST, capture_output=True, text=True, check=False)
    assert "No module named 'qt'" in ended.stderr

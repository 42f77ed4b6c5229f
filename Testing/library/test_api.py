"""The public API: what it names, and that it costs nothing before it is used."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

import SAMSegmenterLib
from SAMSegmenterLib import FrameStack, SegmentInfo, read_prompts, read_volume, write_segmentation
from SAMSegmenterLib.imageio import read_labelmap, write_volume
from SAMSegmenterLib.phantom import make_phantom

LIBRARY = Path(SAMSegmenterLib.__file__)
README = LIBRARY.parents[2] / "README.md"


@pytest.mark.parametrize("name", SAMSegmenterLib.__all__)
def test_every_public_name_is_there_with_a_docstring(name):
    value = getattr(SAMSegmenterLib, name)
    assert value.__name__ == name
    assert value.__doc__


def test_type_checkers_see_the_same_names():
    block = next(node for node in ast.parse(LIBRARY.read_text(encoding="utf-8")).body if isinstance(node, ast.If))
    seen = {alias.name: node.module for node in block.body for alias in node.names}
    assert seen == SAMSegmenterLib._HOME


def test_importing_it_loads_neither_torch_nor_numpy():
    code = "import SAMSegmenterLib, sys; SAMSegmenterLib.InputError; sys.exit(bool({'torch', 'numpy'} & sys.modules.keys()))"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=LIBRARY.parents[1])


def test_what_is_not_public_is_no_attribute():
    with pytest.raises(AttributeError, match="has no attribute 'Sesion'"):
        SAMSegmenterLib.Sesion  # noqa: B018


def test_the_example_of_the_readme_runs(tmp_path, monkeypatch):
    (example,) = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.S)
    write_volume(tmp_path / "ct.nii.gz", make_phantom()[0])
    monkeypatch.chdir(tmp_path)
    exec(compile(example, str(README), "exec"), {})
    assert set(read_labelmap(tmp_path / "liver.seg.nrrd").voxels.ravel().tolist()) == {0, 1}


def test_prompts_are_read_with_the_masks_they_name(tmp_path):
    volume, labels, _ = make_phantom(shape_ijk=(48, 48, 24), spacing_mm=(4.0, 4.0, 8.0))
    write_segmentation(tmp_path / "labels.nii.gz", labels, volume, [SegmentInfo(str(n)) for n in range(labels.max())])
    text = '{"version": 1, "segments": [{"name": "organ", "keyframes": [{"slice": 12, "mask": {"file": "labels.nii.gz"}}]}]}'
    (tmp_path / "prompts.json").write_text(text)
    write_volume(tmp_path / "ct.nrrd", volume)
    prompts = read_prompts(tmp_path / "prompts.json", FrameStack(read_volume(tmp_path / "ct.nrrd")))
    assert (prompts.segment("organ").keyframe(12).mask.mask == (labels[12] == 1)).all()

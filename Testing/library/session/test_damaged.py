"""A session file with anything wrong in it is refused in words that name the file, or is of use."""

import copy
import json

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.numpy import save

from SAMSegmenterLib.errors import InputError
from SAMSegmenterLib.image.volume import Volume
from SAMSegmenterLib.network.options import Options
from SAMSegmenterLib.prompts.types import Box, Keyframe, Line, MaskPrompt, Point, Scribble
from SAMSegmenterLib.session.saving import fingerprint, restore_session, save_session
from SAMSegmenterLib.session.session import Session
from support.json_damage import damage, places
from support.networks import random_network
from support.phantoms import as_model, cells
from support.session_steps import findings

DAMAGE = settings(deadline=None, max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
HUGE = [10**400, -(10**18), 2**31, 1e308, float("nan"), float("inf"), float("-inf")]
ODD = st.one_of(
    st.sampled_from([None, True, -1, 0.5, "", "\0", "\ud800", [], {}, [[]], [None], *HUGE]),
    st.recursive(st.integers() | st.text(max_size=3), lambda each: st.lists(each, max_size=3) | st.dictionaries(st.text(max_size=3), each)),
)


@pytest.fixture(scope="module")
def stack():
    return cells(8, 32)


@pytest.fixture(scope="module")
def model():
    return as_model(random_network("pico", 64))


@pytest.fixture(scope="module")
def whole(stack, model, tmp_path_factory):
    """The document and the arrays of a session with all that one may hold."""
    painted = np.zeros(stack.shape, bool)
    painted[8:20, 9:22] = True
    session = Session(stack, model, Options(size=64), "cpu")
    session.set_keyframe("first", Keyframe(2, mask=MaskPrompt(painted)))
    session.set_keyframe("first", Keyframe(6, box=Box(8, 8, 20, 20), scribbles=(Scribble(((12, 12), (14.5, 15))),)))
    session.set_keyframe("second", Keyframe(3, line=Line(5, 5, 18, 16), points=(Point(1, 1, False),), prior=MaskPrompt(painted)))
    list(session.propagate())
    path = tmp_path_factory.mktemp("whole") / "work.session"
    save_session(session, path)
    return read(path)


def read(path):
    with safe_open(path, framework="numpy") as file:
        return json.loads(file.metadata()["session"]), {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118


def write(path, document, arrays):
    path.write_bytes(save(arrays, {"session": document if isinstance(document, str) else json.dumps(document)}))
    return path


@pytest.fixture(scope="module")
def try_out(stack, model):
    """Restores a file; it is refused in words, or of use."""

    def restored(path):
        try:
            findings(restore_session(path, stack.volume, model, "cpu"))
        except InputError as error:
            said = str(error)
        else:
            said = str(path)
        assert str(path) in said
        assert len(said) < 1000

    return restored


@DAMAGE
@given(data=st.data())
def test_document_with_something_missing_or_odd(whole, try_out, tmp_path, data):
    document, arrays = copy.deepcopy(whole[0]), whole[1]
    way = data.draw(st.sampled_from(sorted(places(document), key=lambda each: (len(each), str(each)))))
    damage(data, document, way, ODD)
    try_out(write(tmp_path / "work.session", document, arrays))


@DAMAGE
@given(data=st.data())
def test_arrays_of_another_shape_or_type(whole, try_out, tmp_path, data):
    document, arrays = whole[0], dict(whole[1])
    name = data.draw(st.sampled_from(sorted(arrays)))
    kind = data.draw(st.sampled_from(["missing", "shorter", "nan", "scalar", "empty", "bool", "float16", "float64", "int64", "folded"]))
    array = arrays.pop(name)
    others = {
        "shorter": array[:-1],
        "nan": np.full(array.shape, np.nan, np.float32),
        "scalar": np.zeros((), np.int8),
        "empty": np.zeros((0, 4), np.int8),
        "bool": array > 0,
        "folded": array[None],
    }
    if kind != "missing":
        arrays[name] = np.ascontiguousarray(others[kind] if kind in others else array.astype(kind))
    try_out(write(tmp_path / "work.session", document, arrays))


@DAMAGE
@given(data=st.data())
def test_file_that_is_cut_off_or_overwritten(whole, try_out, tmp_path, data):
    path = write(tmp_path / "work.session", *whole)
    content = bytearray(path.read_bytes())
    place = data.draw(st.integers(0, len(content) - 1))
    if data.draw(st.booleans()):
        content = content[:place]
    else:
        content[place] = data.draw(st.integers(0, 255))
    path.write_bytes(content)
    try_out(path)


@pytest.mark.parametrize("text", ["", "nothing", "[]", "1", "null", "{}", "[" * 100_000, '{"format": ' + "9" * 5000 + "}"])
def test_header_that_is_no_document(whole, stack, model, tmp_path, text):
    path = write(tmp_path / "work.session", text, whole[1])
    with pytest.raises(InputError, match=r"work\.session"):
        restore_session(path, stack.volume, model, "cpu")


def test_field_at_fault_is_named(whole, stack, model, tmp_path):
    document = copy.deepcopy(whole[0])
    document["passes"][1]["results"][0]["view"]["width"] = -3.5
    with pytest.raises(InputError, match=r"work.session.*passes\[1\].results\[0\].view.width: expected a whole number"):
        restore_session(write(tmp_path / "work.session", document, whole[1]), stack.volume, model, "cpu")


def test_device_that_is_not_there_is_no_damage(whole, stack, model, tmp_path):
    with pytest.raises(InputError, match=r"^device: "):
        restore_session(write(tmp_path / "work.session", *whole), stack.volume, model, "abacus")


def test_file_of_version_3_is_read(whole, stack, model, tmp_path):
    document, arrays = copy.deepcopy(whole[0]), {}
    document |= {"version": 3, "volume": fingerprint(stack.volume)}
    del document["gaps"]
    for kind, entries in (("seed", [[each["result"]] for each in document["seeds"]]), ("pass", [e["results"] for e in document["passes"]])):
        for number, told in enumerate(entries):
            if told:
                stacked = whole[1][f"{kind}{number}"].reshape(len(told), told[0]["side"], -1)
                arrays[f"{kind}{number}"] = stacked[0] if kind == "seed" else stacked
            for each in told:
                del each["side"]
    for each in document["passes"]:
        del each["may_end"], each["least_trust"]
    old = restore_session(write(tmp_path / "old.session", document, arrays), stack.volume, model, "cpu")
    new = restore_session(write(tmp_path / "new.session", *whole), stack.volume, model, "cpu")
    assert findings(old) == findings(new)
    assert old.remaining() == 0


@pytest.mark.parametrize("spacing_mm", [1.0, 3e-6])
def test_volume_is_told_by_parts_of_a_voxel(stack, model, tmp_path, spacing_mm):
    matrix = np.diag([spacing_mm, spacing_mm, spacing_mm, 1])
    volume = Volume(stack.volume.voxels, matrix)
    session = Session(type(stack)(volume, window=stack.window), model, Options(size=64), "cpu")
    save_session(session, tmp_path / "work.session")
    moved = matrix.copy()
    moved[:3, 3] = 0.01 * spacing_mm
    restore_session(tmp_path / "work.session", Volume(volume.voxels, moved), model, "cpu")
    moved[:3, 3] = 2 * spacing_mm
    with pytest.raises(InputError, match="another volume"):
        restore_session(tmp_path / "work.session", Volume(volume.voxels, moved), model, "cpu")

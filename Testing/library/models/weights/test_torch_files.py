"""Files of torch.save are read without torch's unpickler, and whatever is done to them ends in an error that says so."""

import argparse
import io
import struct
import tracemalloc
import zipfile
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf

from SAMSegmenterLib.errors import CheckpointError, InputError
from SAMSegmenterLib.models.weights import checkpoint, torch_archive
from SAMSegmenterLib.models.weights.checkpoint import NUMBERS, read_checkpoint
from SAMSegmenterLib.models.weights.converting import convert
from support.checkpoints import saved, written

BASE = torch.arange(24, dtype=torch.float32)
TENSORS = {
    **{str(dtype): torch.ones(3).to(dtype) for dtype in sorted(NUMBERS, key=str)},
    "whole": BASE,
    "shared": BASE[4:10],
    "transposed": BASE.view(4, 6).T,
    "every other": BASE[::2],
    "expanded": torch.ones(1).expand(3, 3),
    "single": torch.tensor(5.0),
    "empty": torch.zeros(0, 4),
    "one row": BASE.view(1, 24),
    "parameter": torch.nn.Parameter(torch.ones(2, 2)),
    "channels last": torch.arange(16.0).view(1, 2, 2, 4).contiguous(memory_format=torch.channels_last),
}


def bytes_of(content, **how):
    packed = io.BytesIO()
    torch.save(content, packed, **how)
    return packed.getvalue()


def entries_of(path):
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def packed(path, entries, compression=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in entries:
            archive.writestr(name, content)
    return path


def changed(path, changes):
    """The same archive with other bytes in some entries; None takes an entry away."""
    entries = {name.partition("/")[2]: content for name, content in entries_of(path).items()} | changes
    return packed(path, [(f"archive/{name}", content) for name, content in entries.items() if content is not None])


def with_pickle(path, old, new):
    """The same archive with other bytes in the pickle."""
    content = next(content for name, content in entries_of(path).items() if name.endswith("data.pkl"))
    assert old in content
    return changed(path, {"data.pkl": content.replace(old, new, 1)})


@pytest.fixture
def tiny(tmp_path):
    return saved({"a": torch.ones(3), "b": torch.zeros(2, 2)}, tmp_path / "tiny.pt")


# ---------------------------------------------------------------- what is read


@pytest.mark.parametrize("protocol", [1, 2, 3, 4, 5])
def test_tensors_come_back_as_they_were_saved(protocol, tmp_path):
    path = written(tmp_path / "all.pt", bytes_of({"model": OrderedDict(TENSORS), "epoch": 3}, pickle_protocol=protocol))
    found = read_checkpoint(path).weights
    assert found.keys() == TENSORS.keys()
    for name, value in TENSORS.items():
        assert torch.equal(found[name], value), name
        assert found[name].dtype == value.dtype


def test_tensors_that_share_their_numbers_in_the_file_share_them_in_memory(tmp_path):
    found = read_checkpoint(saved(TENSORS, tmp_path / "shared.pt")).weights
    assert found["shared"].untyped_storage().data_ptr() == found["whole"].untyped_storage().data_ptr()


def test_numbers_of_the_other_byte_order_are_turned(tiny, tmp_path):
    numbers = np.arange(3, dtype=np.float32)
    path = saved({"a": torch.from_numpy(numbers)}, tmp_path / "big.pt")
    changed(path, {"byteorder": b"big", "data/0": numbers.astype(">f4").tobytes()})
    assert read_checkpoint(path).weights["a"].tolist() == [0, 1, 2]
    with pytest.raises(CheckpointError, match="says no byte order that there is"):
        read_checkpoint(changed(tiny, {"byteorder": b"middle"}))


def test_files_from_before_byte_orders_were_stated_are_read(tiny):
    changed(tiny, {"byteorder": None, ".data/serialization_id": None, ".format_version": None})
    assert read_checkpoint(tiny).weights["a"].tolist() == [1, 1, 1]


def test_only_the_weights_of_a_training_file_take_memory(tmp_path):
    large = torch.zeros(1_000_000)
    path = saved({"model": {"a": torch.ones(2)}, "optimizer": {"state": {0: {"exp_avg": large}}}}, tmp_path / "trained.pt")
    wanted = read_checkpoint(path).weights
    assert sum(value.untyped_storage().nbytes() for value in wanted.values()) == 8


def test_what_training_leaves_beside_the_weights_is_passed_over(tmp_path):
    beside = {
        "args": argparse.Namespace(lr=1e-4, sizes=(1, 2)),
        "config": OmegaConf.create({"model": {"size": 512, "names": ["a"]}}),
        "best": np.float64(0.9),
        "curve": np.arange(5.0),
        "folder": Path("runs"),
        "seen": {1, 2},
        "kinds": frozenset({"CT"}),
        "device": torch.device("cpu"),
        "dtype": torch.float32,
        "shape": torch.Size([1, 2]),
        "random": torch.get_rng_state(),
        (1, 2): "a key that is no name",
    }
    for protocol in (2, 4):
        path = written(tmp_path / "trained.pt", bytes_of({"model": {"a": torch.ones(2)}, **beside}, pickle_protocol=protocol))
        found = read_checkpoint(path)
        assert found.weights["a"].tolist() == [1, 1]
        assert {"args", "config", "best", "folder"} <= found.beside


def test_parameters_with_attributes_of_their_own_are_read(tmp_path):
    parameter = torch.nn.Parameter(torch.ones(2))
    parameter.no_weight_decay = True
    assert read_checkpoint(saved({"a": parameter}, tmp_path / "marked.pt")).weights["a"].tolist() == [1, 1]


@pytest.mark.parametrize("odd", [torch.zeros(2, dtype=torch.complex64), torch.zeros(2, dtype=torch.complex128)])
def test_numbers_of_other_kinds_are_named(odd, tmp_path):
    with pytest.raises(CheckpointError, match=r"1 of 2 weights are not stored as plain numbers \(odd\)"):
        read_checkpoint(saved({"plain": torch.zeros(2), "odd": odd}, tmp_path / "odd.pt"))


# ---------------------------------------------------------------- what is refused


def test_a_tensor_of_one_number_more_than_its_entry_is_refused(tiny):
    with pytest.raises(CheckpointError, match="a tensor has more numbers than are in the file"):
        read_checkpoint(with_pickle(tiny, b"K\x03tq", b"K\x04tq"))


@pytest.mark.parametrize("lie", [b"QK\x01K\x03\x85", b"QK\x00K\x04\x85"], ids=["offset", "size"])
def test_a_tensor_that_reaches_one_number_beyond_its_storage_is_refused(lie, tiny):
    with pytest.raises(CheckpointError, match="reaches beyond its numbers"):
        read_checkpoint(with_pickle(tiny, b"QK\x00K\x03\x85", lie))


def test_entries_of_other_kinds_are_refused(tiny, tmp_path):
    entries = [(name, content) for name, content in entries_of(tiny).items()]
    with pytest.raises(CheckpointError, match=r"is compressed .* unpack it"):
        read_checkpoint(packed(tmp_path / "compressed.pt", entries, zipfile.ZIP_DEFLATED))
    with pytest.raises(CheckpointError, match="do not lie in one folder"):
        read_checkpoint(packed(tmp_path / "outside.pt", [*entries, ("elsewhere/data/2", b"1234")]))
    with pytest.raises(CheckpointError, match="do not lie in one folder"):
        read_checkpoint(packed(tmp_path / "above.pt", [*entries, ("tiny/../data/2", b"1234")]))
    with pytest.warns(UserWarning, match="Duplicate"):
        twice = packed(tmp_path / "twice.pt", [*entries, entries[-1]])
    with pytest.raises(CheckpointError, match="several entries of the same name"):
        read_checkpoint(twice)


def test_programs_and_other_archives_are_named(tiny, tmp_path):
    with pytest.raises(CheckpointError, match=r"is a program \(TorchScript\).*state_dict"):
        read_checkpoint(changed(tiny, {"code/__torch__.py": b"", "constants.pkl": b"\x80\x02)."}))
    with pytest.raises(CheckpointError, match=r"is a zip archive, but not of PyTorch weights.*give the file inside"):
        read_checkpoint(packed(tmp_path / "model.zip", [("model/weights.pth", b"1")]))


def test_an_entry_that_is_one_byte_longer_than_its_room_is_refused(tiny):
    content = bytearray(tiny.read_bytes())
    place = content.index(b"PK\x01\x02")  # the directory's first record, of data.pkl
    for field in (20, 24):  # compressed and whole size (APPNOTE 4.3.12)
        struct.pack_into("<I", content, place + field, content.index(b"PK\x03\x04", 4) - 30 - 13 + 1)
    with pytest.raises(CheckpointError):
        read_checkpoint(written(tiny, content))


def said_of_last_entry(path, layout, field, value):
    """The same archive, its directory's last record with another value in a field (APPNOTE 4.3.12)."""
    content = bytearray(path.read_bytes())
    struct.pack_into(layout, content, content.rindex(b"PK\x01\x02") + field, value)
    return written(path, content)


def test_an_entry_that_is_said_to_be_encrypted_is_refused(tiny):
    path = said_of_last_entry(tiny, "<H", 8, torch_archive.ENCRYPTED)
    with pytest.raises(CheckpointError, match=r"is compressed or encrypted.*was not opened.*unpack it"):
        read_checkpoint(path)


def test_two_entries_at_the_same_place_are_refused(tiny):
    with zipfile.ZipFile(tiny) as archive:
        place = archive.infolist()[-2].header_offset
    with pytest.raises(CheckpointError, match="is another, or larger, than its directory says"):
        read_checkpoint(said_of_last_entry(tiny, "<I", 42, place))


def test_an_entry_that_lies_within_another_is_refused(tmp_path):
    alone = packed(tmp_path / "alone.zip", [("archive/data/1", b"1234")]).read_bytes()
    inner = alone[: alone.index(b"PK\x01\x02")]
    path = packed(tmp_path / "nested.pt", [("archive/data.pkl", b"."), ("archive/data/0", inner), ("archive/data/1", b"1234")])
    with pytest.raises(CheckpointError, match="is another, or larger, than its directory says"):
        read_checkpoint(said_of_last_entry(path, "<I", 42, path.read_bytes().index(inner)))


def test_a_directory_that_is_larger_than_any_networks_is_not_read(tiny, monkeypatch):
    monkeypatch.setattr(torch_archive, "LARGEST_DIRECTORY", 100)
    with pytest.raises(CheckpointError, match="is truncated, or not a file of PyTorch weights"):
        read_checkpoint(tiny)


def test_names_that_would_disturb_a_terminal_are_not_shown(tmp_path):
    path = saved({"model": {"\x1b[2J": torch.ones(2)}}, tmp_path / "odd.pt")
    with pytest.raises(CheckpointError) as refusal:
        read_checkpoint(path)
    assert str(refusal.value).isprintable()


# ---------------------------------------------------------------- converting


class Unknown:
    """A class that no list names."""


def test_weights_beside_unknown_objects_are_taken_out_by_converting(tmp_path):
    weights = {"a": BASE, "b": BASE[2:4], "c": BASE.view(4, 6).T}
    path = saved({"state_dict": weights, "trainer": Unknown(), "best_dice": 0.9}, tmp_path / "own.pt")
    with pytest.raises(CheckpointError, match=r"test_torch_files\.Unknown\).*can run code.*samsegmenter models convert"):
        read_checkpoint(path)
    target = tmp_path / "own.safetensors"
    assert convert(path, target).beside == {"trainer", "best_dice"}
    found = read_checkpoint(target)
    assert all(torch.equal(found.weights[name], value) for name, value in weights.items())
    assert (found.container, found.beside) == ("state_dict", {"trainer", "best_dice"})


def test_converting_runs_nothing_and_replaces_nothing(tmp_path, pico_state):
    trace = tmp_path / "code_was_run"

    class Bomb:
        def __reduce__(self):
            return Path.touch, (trace,)

    path = saved({"model": pico_state, "extra": Bomb()}, tmp_path / "bomb.pt")
    convert(path, tmp_path / "safe.safetensors")
    assert not trace.exists()
    with pytest.raises(InputError, match="is there already and was not replaced"):
        convert(path, tmp_path / "safe.safetensors")
    with pytest.raises(InputError, match=r"must end in \.safetensors"):
        convert(path, tmp_path / "safe.pt")


def test_files_from_before_zip_archives_are_converted_where_torch_reads_them_safely(tmp_path, monkeypatch):
    path = tmp_path / "old.pth"
    torch.save({"model": {"a": torch.ones(2)}}, path, _use_new_zipfile_serialization=False)
    with pytest.raises(CheckpointError, match="samsegmenter models convert"):
        read_checkpoint(path)
    monkeypatch.setattr(checkpoint, "SAFE_TORCH", "1000")
    with pytest.raises(CheckpointError, match=r"older ones need PyTorch 1000 or newer, here is"):
        convert(path, tmp_path / "new.safetensors")
    monkeypatch.setattr(checkpoint, "SAFE_TORCH", "2.0")
    convert(path, tmp_path / "new.safetensors")
    assert read_checkpoint(tmp_path / "new.safetensors").weights["a"].tolist() == [1, 1]


# ---------------------------------------------------------------- whatever is done to a file

VALID = bytes_of({"model": {"a": torch.ones(40), "b": BASE.view(4, 6).T}, "args": argparse.Namespace(x=1), "epoch": [1, 2.5, None, True]})
PICKLE_START = VALID.index(b"\x80\x02")
PICKLE_END = VALID.index(b"PK\x07\x08", PICKLE_START)


@st.composite
def damaged(draw):
    """A valid file with bytes changed, put in, taken out or moved, mostly in its pickle and its directory."""
    content = bytearray(VALID)
    regions = [(PICKLE_START, PICKLE_END), (VALID.index(b"PK\x01\x02"), len(VALID) - 1), (0, len(VALID) - 1)]
    for _ in range(draw(st.integers(1, 6))):
        low, high = draw(st.sampled_from(regions))
        place = draw(st.integers(low, min(high, len(content) - 1)))
        kind = draw(st.sampled_from(["change", "exchange", "cut"]))
        if kind == "change":
            new = draw(st.binary(min_size=1, max_size=8))
            content[place : place + len(new)] = new
        elif kind == "exchange":
            other = draw(st.integers(low, min(high, len(content) - 1)))
            content[place], content[other] = content[other], content[place]
        else:
            del content[place : place + draw(st.integers(1, 4))]
    return bytes(content)


@st.composite
def damaged_pickles(draw):
    """The pickle of a valid file, its opcodes changed, in an archive whose directory is right."""
    content = bytearray(VALID[PICKLE_START:PICKLE_END])
    for _ in range(draw(st.integers(1, 8))):
        place = draw(st.integers(0, len(content) - 1))
        content[place : place + draw(st.integers(0, 2))] = draw(st.binary(max_size=6))
    return bytes(content) or b"."


def taken_or_refused(path):
    """Read a file; whatever is in it, nothing but a `CheckpointError` comes of it, and no memory that the file does not account for."""
    tracemalloc.start()
    try:
        weights = read_checkpoint(path).weights
    except CheckpointError:
        weights = {}
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < 2_000_000  # of Python; zipfile alone takes a fifth of it
    assert sum(value.untyped_storage().nbytes() for value in weights.values()) <= 2 * path.stat().st_size


@pytest.mark.filterwarnings("ignore:invalid escape sequence:DeprecationWarning")
@given(content=damaged())
@settings(max_examples=300, deadline=None)
def test_a_damaged_file_is_read_or_refused(content, tmp_path_factory):
    taken_or_refused(written(tmp_path_factory.getbasetemp() / "damaged.pt", content))


@pytest.mark.filterwarnings("ignore:invalid escape sequence:DeprecationWarning")
@given(content=damaged_pickles())
@settings(max_examples=500, deadline=None)
def test_a_damaged_pickle_is_read_or_refused(content, tmp_path_factory):
    path = tmp_path_factory.getbasetemp() / "damaged_pickle.pt"
    numbers = [("archive/data/0", bytes(160)), ("archive/data/1", bytes(96))]
    taken_or_refused(packed(path, [("archive/data.pkl", content), *numbers]))

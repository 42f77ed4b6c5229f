"""A file runs no code, and fills no more memory than it is large."""

import argparse
import io
import pickle
import tarfile
import zipfile
from pathlib import Path

import pytest
import torch

from SAMSegmenterLib.errors import CheckpointError
from SAMSegmenterLib.models.loading import load_model
from SAMSegmenterLib.models.weights import checkpoint
from SAMSegmenterLib.models.weights.checkpoint import read_checkpoint
from support.checkpoints import saved, written


class Bomb:
    """Unpickling this creates the file `trace`."""

    def __init__(self, trace):
        self.trace = trace

    def __reduce__(self):
        return Path.touch, (self.trace,)


@pytest.fixture
def trace(tmp_path):
    return tmp_path / "code_was_run"


def test_pickles_that_run_code_are_refused_and_not_run(tmp_path, trace, pico_state):
    in_zip = saved({"model": pico_state, "extra": Bomb(trace)}, tmp_path / "zip.pt")
    plain = written(tmp_path / "plain.pt", pickle.dumps(Bomb(trace)))
    legacy = tmp_path / "legacy.pth"
    torch.save({"model": Bomb(trace)}, legacy, _use_new_zipfile_serialization=False)
    for path in (in_zip, plain, legacy):
        with pytest.raises(CheckpointError, match=r"can run code") as refusal:
            load_model(path)
        assert path.name in str(refusal.value)
    assert not trace.exists()


def test_the_bomb_of_these_tests_is_armed(trace):
    pickle.loads(pickle.dumps(Bomb(trace)))
    assert trace.exists()


def test_old_formats_are_refused_unread(tmp_path, trace, pico_state):
    archive = tmp_path / "old.tar"
    with tarfile.open(archive, "w") as tar:
        payload = pickle.dumps(Bomb(trace))
        member = tarfile.TarInfo("storages")
        member.size = len(payload)
        tar.addfile(member, io.BytesIO(payload))
    before_zip = tmp_path / "before_zip.pt"
    torch.save(pico_state, before_zip, _use_new_zipfile_serialization=False)
    for path in (archive, before_zip):
        with pytest.raises(CheckpointError, match=r"since PyTorch 1\.6.*was not opened"):
            read_checkpoint(path)
    assert not trace.exists()


def test_stand_ins_do_not_run_what_a_file_hides_in_them(tmp_path, trace):
    namespace = argparse.Namespace(bomb=Bomb(trace))
    with pytest.raises(CheckpointError, match="can run code"):
        read_checkpoint(saved({"model": {"a": torch.zeros(1)}, "args": namespace}, tmp_path / "args.pt"))
    assert not trace.exists()


def test_a_compressed_archive_is_not_opened(tmp_path):
    path = tmp_path / "bomb.pt"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", bytes(10_000_000))
    with pytest.raises(CheckpointError, match=r"bomb\.pt: is compressed .* and was not opened.*unpack it"):
        read_checkpoint(path)


@pytest.mark.parametrize("module", ["builtins", "__builtin__"])
def test_memory_that_is_not_in_the_file_is_not_asked_for(module, tmp_path):
    path = saved({"a": torch.zeros(1)}, tmp_path / "greedy.pt")
    greedy = f"\x80\x02c{module}\nbytearray\nJ\x00\x00\x00\x02\x85R.".encode("latin1")
    with zipfile.ZipFile(path) as archive:
        content = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, value in content.items():
            archive.writestr(name, greedy if name.endswith("data.pkl") else value)
    with pytest.raises(CheckpointError, match=r"greedy\.pt: was refused.*bytearray"):
        read_checkpoint(path)


def test_weights_that_are_larger_than_their_file_are_refused(tmp_path):
    path = saved({"a": torch.zeros(1).expand(1 << 20, 1 << 20)}, tmp_path / "expanded.pt")
    with pytest.raises(CheckpointError, match=r"would fill 4398\.0 GB, which are not in the file"):
        read_checkpoint(path)


def test_files_that_are_far_too_large_are_not_opened(tmp_path, monkeypatch):
    path = saved({"a": torch.zeros(1000)}, tmp_path / "video.pt")
    monkeypatch.setattr(checkpoint, "LARGEST_BYTES", 1000)
    with pytest.raises(CheckpointError, match=r"video\.pt: has 0 GB.*not opened"):
        read_checkpoint(path)

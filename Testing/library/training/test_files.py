"""The files of a training run: complete or as they were, readable, and named where they are damaged."""

import io
import os

import pytest
import torch

from SAMSegmenterLib.errors import CheckpointError, OutputError
from SAMSegmenterLib.training.trainer import STATE, WEIGHTS, Trainer
from support.training_steps import CPU, SMALL


@pytest.mark.skipif(os.name == "nt", reason="limits the size of files, which Windows does not")
def test_full_disk_is_told_and_the_earlier_state_kept(tmp_path):
    import resource

    trainer = Trainer(SMALL, tmp_path, CPU)
    trainer.run(stopped=lambda: True)
    before, limits = (tmp_path / STATE).read_bytes(), resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
    try:
        with pytest.raises(OutputError, match=r"state\.pt: could not be written"):
            trainer.run(stopped=lambda: True)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert (tmp_path / STATE).read_bytes() == before


@pytest.mark.skipif(os.name == "nt", reason="Windows has no modes of files")
def test_who_can_read_the_state_can_read_the_weights(tmp_path):
    before = os.umask(0o022)
    try:
        Trainer(SMALL, tmp_path, CPU).run(stopped=lambda: True)
    finally:
        os.umask(before)
    assert {(tmp_path / name).stat().st_mode & 0o777 for name in (STATE, WEIGHTS)} == {0o644}


def _saved(content):
    file = io.BytesIO()
    torch.save(content, file)
    return file.getvalue()


JUNK = b"not a state", b"", b"\x80\x02X\xff", _saved({"step": 1}), _saved([1, 2]), _saved({"network": 3}), b"\x80\x02G\x00."


@pytest.mark.parametrize("content", JUNK)
def test_damaged_state_is_named(tmp_path, content):
    (tmp_path / STATE).write_bytes(content)
    with pytest.raises(CheckpointError, match=r"state\.pt.*damaged"):
        Trainer(SMALL, tmp_path, CPU)

"""Files that are damaged, or no checkpoints at all, are named with what is wrong."""

import contextlib
import json

import pytest
import torch

from SAMSegmenterLib.errors import CheckpointError
from SAMSegmenterLib.models.loading import load_model
from SAMSegmenterLib.models.weights.checkpoint import read_checkpoint
from support.checkpoints import saved, written


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
@pytest.mark.parametrize("kept", [0.01, 0.5, 0.99])
def test_a_truncated_file_is_named(suffix, kept, tmp_path, pico_state):
    path = saved(pico_state, tmp_path / f"part{suffix}")
    path.write_bytes(path.read_bytes()[: int(kept * path.stat().st_size)])
    with pytest.raises(CheckpointError, match=rf"part{suffix}.*truncated.*Get the file again"):
        load_model(path)


def test_a_damaged_file_is_named(tmp_path, pico_state):
    path = saved(pico_state, tmp_path / "damaged.pt")
    content = path.read_bytes()
    start = content.index(b"image_encoder")
    with pytest.raises(CheckpointError, match=r"damaged\.pt"):
        load_model(written(path, content[:start] + bytes(5000) + content[start + 5000 :]))


def test_a_wrong_bit_anywhere_in_an_archives_directory_is_noticed_or_harmless(tmp_path):
    path = saved({"a": torch.ones(2)}, tmp_path / "flipped.pt")
    content = path.read_bytes()
    for place in range(content.index(b"PK\x01\x02"), len(content)):
        flipped = written(path, content[:place] + bytes([content[place] ^ 64]) + content[place + 1 :])
        with contextlib.suppress(CheckpointError):
            assert torch.equal(read_checkpoint(flipped).weights["a"], torch.ones(2))


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"\n<!DOCTYPE html><html><body>Sign in</body></html>", "is a web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "Git LFS"),
        (b"P6 this is a picture", "not a "),
    ],
)
def test_files_that_are_not_weights_are_named(suffix, content, message, tmp_path):
    path = written(tmp_path / f"model{suffix}", content)
    with pytest.raises(CheckpointError, match=message) as refusal:
        load_model(path)
    assert str(path) in str(refusal.value)


def test_a_folder_is_refused(tmp_path):
    with pytest.raises(CheckpointError, match="is a folder"):
        load_model(tmp_path)


def test_a_missing_file_is_named(tmp_path):
    missing = tmp_path / "sam2.1_hiera_tiny.pt"
    for read in (load_model, read_checkpoint):
        with pytest.raises(CheckpointError, match="no such model file") as refusal:
            read(missing)
        assert str(missing) in str(refusal.value)


def test_a_download_that_has_not_ended_is_named(tmp_path):
    with pytest.raises(CheckpointError, match=r"has not ended.*models get"):
        load_model(written(tmp_path / "sam2.1_hiera_tiny.pt.part", b"PK\x03\x04 and more"))


@pytest.mark.parametrize("odd", [torch.zeros(2, 2).to_sparse(), torch.zeros(2, device="meta")])
def test_weights_that_are_no_plain_numbers_are_refused(odd, tmp_path):
    with pytest.raises(CheckpointError, match=r"odd\.pt: 1 of 2 weights are not stored as plain numbers \(odd\)"):
        read_checkpoint(saved({"plain": torch.zeros(2), "odd": odd}, tmp_path / "odd.pt"))


@pytest.mark.parametrize(("kind", "bits"), [("F4", 4), ("C64", 64), ("F8_E4M3", 8)])
def test_numbers_that_no_network_is_built_from_are_refused(kind, bits, tmp_path):
    header = json.dumps({"a": {"dtype": kind, "shape": [8], "data_offsets": [0, bits]}}).encode()
    path = written(tmp_path / "odd.safetensors", len(header).to_bytes(8, "little") + header + bytes(bits))
    with pytest.raises(CheckpointError, match=r"odd\.safetensors: .* are not stored as plain numbers"):
        read_checkpoint(path)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_no_finite_numbers_are_refused(value, pico_state, tmp_path):
    pico_state["no_mem_embed"][0, 0, 3] = value
    path = saved(pico_state, tmp_path / "diverged.safetensors")
    with pytest.raises(CheckpointError, match=r"diverged\.safetensors: 1 of 362 weights are NaN or infinite \(no_mem_embed\)"):
        load_model(path)

"""Conversion of a file that holds more than weights to a .safetensors file, which can hold nothing else."""

from __future__ import annotations

from pathlib import Path

from safetensors.torch import save
from torch import Tensor

from ...errors import InputError
from ...files import check_writable, replacing
from .checkpoint import NOTED_BESIDE, NOTED_CONTAINER, Checkpoint, read_checkpoint


def convert(source: Path, target: Path) -> Checkpoint:
    """Write the weights in `source` to `target`, and return them.

    Python objects beside the weights are skipped, and none of their code is run. Where the weights lay in the file is noted in the new
    one, because `detect` uses that, too.

    Raises:
        InputError: `target` is not called .safetensors, or exists already.
        CheckpointError: as `checkpoint.read_checkpoint`, which reads formats from before PyTorch 1.6 with PyTorch 2.10 and newer.
        OutputError: `target` cannot be written.
    """
    if target.suffix != ".safetensors":
        raise InputError(f"{target}: the new file's name must end in .safetensors.")
    if target.exists():
        raise InputError(f"{target}: is there already and was not replaced. Choose another name, or remove it first.")
    check_writable(target)
    checkpoint = read_checkpoint(source, permissive=True)
    noted = {NOTED_CONTAINER: checkpoint.container, NOTED_BESIDE: "\n".join(sorted(checkpoint.beside))}
    content = save(_apart(checkpoint.weights), noted)
    with replacing(target) as file:
        file.write_bytes(content)  # unlike the library, it reports a full disk, and lets others read the file
    return checkpoint


def _apart(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the weights without memory that two of them share, as safetensors wants them."""
    seen: set[int] = set()
    apart = {}
    for name, value in weights.items():
        start = value.untyped_storage().data_ptr()
        apart[name] = value.clone().contiguous() if start in seen else value.contiguous()
        seen.add(start)
    return apart

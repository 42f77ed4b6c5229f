"""Memory that runs out is called so, by whatever library and in whatever work."""

import errno

import numpy as np
import pytest
import torch

from SAMSegmenterLib.errors import OutOfMemory, OutputError, is_out_of_memory, memory_for
from SAMSegmenterLib.evaluation.trials import Trials
from SAMSegmenterLib.training import trainer, workers
from support.evaluation_steps import Fixed, object_mask
from support.training_steps import CPU, SMALL, failing

NO_MEMORY = {
    "numpy": MemoryError("Unable to allocate 8.00 EiB for an array"),
    "CPU": RuntimeError("[enforce fail at alloc_cpu.cpp:117] . DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes."),
    "Windows": RuntimeError("[enforce fail at alloc_cpu.cpp:80] . DefaultCPUAllocator: not enough memory: you tried to allocate 9 bytes."),
    "CUDA": torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB"),
    "cuBLAS": RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    "MPS": RuntimeError("MPS backend out of memory (MPS allocated: 8.00 GB, other allocations: 1 GB, max allowed: 9.07 GB)"),
    "SimpleITK": RuntimeError("Failed to allocate memory for image."),
    "system": OSError(errno.ENOMEM, "Cannot allocate memory"),
}
OTHERS = RuntimeError("shapes do not fit"), OSError(errno.ENOSPC, "No space left on device"), ValueError("out of memory"), OutputError("x")


@pytest.mark.parametrize("error", NO_MEMORY.values(), ids=NO_MEMORY)
def test_a_lack_of_memory_is_known_in_whatever_words(error):
    assert is_out_of_memory(error)
    with pytest.raises(OutOfMemory, match=r"^work: there is too little free memory\. Do less\.$") as told, memory_for("work", "Do less."):
        raise error
    assert told.value.__cause__ is error
    assert not is_out_of_memory(told.value)


def test_what_libraries_raise_by_themselves_is_known():
    for call in (lambda: np.empty(2**62, np.uint8), lambda: torch.empty(2**62, dtype=torch.uint8), lambda: bytearray(2**62)):
        with pytest.raises(OutOfMemory), memory_for("work", ""):
            call()


@pytest.mark.parametrize("error", OTHERS)
def test_other_errors_pass(error):
    assert not is_out_of_memory(error)
    with pytest.raises(type(error)) as passed, memory_for("work", ""):
        raise error
    assert passed.value is error


@pytest.mark.parametrize("error", [NO_MEMORY["CPU"], NO_MEMORY["CUDA"], MemoryError()])
def test_training_says_so_and_keeps_its_state(tmp_path, monkeypatch, error):
    monkeypatch.setattr(trainer.Trainer, "_train", failing(error))
    with pytest.raises(OutOfMemory, match=r"training: there is too little free memory.*--frames"):
        workers.train(SMALL, tmp_path, CPU, 1)
    assert (tmp_path / trainer.STATE).is_file()


def test_a_state_that_memory_does_not_hold_is_not_called_damaged(tmp_path, monkeypatch):
    workers.train(SMALL, tmp_path, CPU, 1)
    monkeypatch.setattr(torch, "load", failing(NO_MEMORY["CPU"]))
    with pytest.raises(OutOfMemory):
        workers.train(SMALL, tmp_path, CPU, 1)


def test_an_evaluation_lists_it_and_goes_on(plan, tmp_path):
    class Hungry(Fixed):
        def segment(self, stack, keyframes, reach):
            raise NO_MEMORY["MPS"]

    methods = [Hungry(object_mask(), "hungry"), Fixed(object_mask(), "modest")]
    trials = Trials(tmp_path / "out", plan(tasks=["mask"], methods=methods, limit=1))
    trials.run()
    errors = {record.error for record in trials.records if record.method == "hungry"}
    assert errors == {"there is too little free memory; close other programs, or evaluate smaller images."}
    assert [record.error for record in trials.records if record.method == "modest"] == ["", ""]

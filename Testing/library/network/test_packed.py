"""Packed linear layers compute what PyTorch's own do, share all other weights, and are left alone where they do not exist."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from SAMSegmenterLib.network import device, packed
from SAMSegmenterLib.network.device import Execution, pick_execution
from SAMSegmenterLib.network.memory import MemoryBank
from SAMSegmenterLib.network.network import Network
from SAMSegmenterLib.network.packed import PackedLinear, with_packed_linears
from support.networks import random_network

CPU = torch.device("cpu")
SIZE = 128
FLOAT32 = Execution(CPU, torch.float32, 1)
exists = pytest.mark.skipif(not packed.packing_exists(), reason="this PyTorch has no packed linear layers")


@pytest.fixture
def network():
    return random_network("pico", SIZE)


@pytest.fixture
def layer(monkeypatch):
    monkeypatch.setattr(packed, "LEAST_PRODUCT", 0)
    return nn.Linear(24, 40)


def tracked(network, execution):
    """What is decoded on a slice from the memory of another."""
    ours = Network(network, SIZE, CPU, running=execution.prepared(network))
    features = ours.encode(np.random.default_rng(1).integers(0, 255, (3, SIZE, SIZE), dtype=np.uint8))
    mask = torch.zeros(SIZE, SIZE, dtype=torch.bool)
    mask[30:80, 40:90] = True
    painted = ours.prompt_mask(features[0], mask)
    bank = MemoryBank(0, ours.remember(features[:1], painted, prompted=True)[0], ours.memories, ours.max_pointers, 6)
    return ours.track(features[1:], [bank.recall(1, 9)] * 2, 9)


@exists
def test_a_packed_network_decodes_the_same(network, monkeypatch):
    monkeypatch.setattr(packed, "LEAST_PRODUCT", 0)
    plain, ours = (tracked(network, replace(FLOAT32, packed=each)) for each in (False, True))
    assert plain.logits.std() > 0.1, "flat logits would agree whatever is computed"
    torch.testing.assert_close(ours.logits, plain.logits, atol=1e-3, rtol=0)
    torch.testing.assert_close(ours.pointer, plain.pointer, atol=1e-3, rtol=0)


@exists
@torch.inference_mode()
@pytest.mark.parametrize("shape", [(1, 24), (7, 24), (2, 5, 24), (2, 3, 4, 24), (0, 24)])
def test_a_packed_layer_takes_any_shape(layer, shape):
    x = torch.randn(shape)
    torch.testing.assert_close(PackedLinear(layer.weight, layer.bias)(x), layer(x))
    torch.testing.assert_close(PackedLinear(layer.weight, None)(x.movedim(0, -2)), layer(x.movedim(0, -2)) - layer.bias)


@exists
@torch.inference_mode()
def test_only_the_first_few_numbers_of_rows_are_packed_for(layer, monkeypatch):
    ours, packed_rows, pointwise = PackedLinear(layer.weight, layer.bias), [], torch.ops.mkldnn._linear_pointwise
    monkeypatch.setattr(torch.ops.mkldnn, "_linear_pointwise", lambda x, *others: packed_rows.append(len(x)) or pointwise(x, *others))
    for rows in (8, 1, 2, 8, 3, 4, 5, 8):
        torch.testing.assert_close(ours(torch.ones(rows, 24)), layer(torch.ones(rows, 24)))
    assert packed_rows == [8, 1, 2, 8, 3, 8]


@torch.inference_mode()
def test_small_products_are_left_as_they_are():
    layer = nn.Linear(24, 40)
    ours = PackedLinear(layer.weight, layer.bias)
    torch.testing.assert_close(ours(torch.ones(3, 24)), layer(torch.ones(3, 24)))
    assert ours._packed is None


def test_all_other_weights_are_shared_and_the_network_stays_as_it_was(network):
    kinds = [type(part) for part in network.modules()]
    ours = with_packed_linears(network)
    assert [type(part) for part in network.modules()] == kinds
    assert {each.data_ptr() for each in ours.parameters()} <= {each.data_ptr() for each in network.parameters()}
    assert nn.Linear not in {type(part) for part in ours.modules()}


def test_without_the_private_operations_nothing_is_packed(network, monkeypatch):
    def missing(*_):
        raise RuntimeError("no such operation")

    monkeypatch.setattr(packed, "_found_out", {})
    monkeypatch.setattr(packed.PackedLinear, "forward", missing)
    assert not packed.packing_is_worth_it()
    assert pick_execution(network, CPU, "float32") == FLOAT32


def test_operations_that_compute_something_else_are_not_used(monkeypatch):
    monkeypatch.setattr(packed, "_found_out", {})
    monkeypatch.setattr(packed.PackedLinear, "forward", lambda self, x: torch.zeros(*x.shape[:-1], len(self.weight)))
    assert not packed.packing_is_worth_it()


@pytest.mark.parametrize("worth", [False, True])
def test_float32_on_the_cpu_is_packed_where_that_is_worth_it(network, monkeypatch, worth):
    monkeypatch.setattr(device, "packing_is_worth_it", lambda: worth)
    assert pick_execution(network, CPU).packed == worth
    assert pick_execution(network, CPU, "float32").packed == worth
    assert not pick_execution(network, CPU, "bfloat16").packed


@pytest.mark.parametrize(
    ("low", "chosen"), [(0.7, Execution(CPU, torch.bfloat16, 2)), (0.9, Execution(CPU, torch.float32, 2, packed=True))]
)
def test_a_lower_precision_is_judged_by_layers_that_are_not_packed(network, monkeypatch, low, chosen):
    timed = {torch.float32: 1.0, torch.bfloat16: low}
    monkeypatch.setattr(device, "SMALL_INPUT", 32)
    monkeypatch.setattr(device, "_found_out", {})
    monkeypatch.setattr(device, "packing_is_worth_it", lambda: True)
    monkeypatch.setattr(device, "_encoding_seconds", lambda network, execution: execution.packed or timed[execution.dtype])
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    assert pick_execution(network, CPU) == chosen

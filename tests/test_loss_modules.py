"""Losses as modules: windows, filterbanks and taps go where the loss goes, alone or in a training step."""

import copy
import pickle
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from tests.loss_calls import SPECTRAL, build, every_loss, for_each, ordinary
from tests.training_step import Step, trained


@every_loss
def test_a_loss_keeps_its_value_through_copies_and_state(call: str) -> None:
    loss = build(call)
    signals = [signal.float() for signal in ordinary()]
    expected = loss(*signals)
    for copied in (copy.deepcopy(loss), pickle.loads(pickle.dumps(loss)), build(call)):
        copied.load_state_dict(loss.state_dict())
        assert copied(*signals) == expected
        assert list(copied.state_dict()) == list(loss.state_dict())
    assert not list(loss.parameters())


@every_loss
def test_a_loss_made_without_memory_is_filled_by_its_state(call: str) -> None:
    loss, empty = build(call), build(call).to("meta")
    assert {buffer.device.type for buffer in empty.buffers()} <= {"meta"}
    empty.to_empty(device="cpu").load_state_dict(loss.state_dict())
    signals = [signal.float() for signal in ordinary()]
    assert empty(*signals) == loss(*signals)


@for_each([call for call in SPECTRAL if "Random" not in call])
def test_spectral_losses_hold_every_tensor_as_a_buffer(call: str) -> None:
    loss = build(call)
    loose = [name for module in loss.modules() for name, value in vars(module).items() if isinstance(value, Tensor)]
    assert not loose
    assert list(loss.buffers())


@pytest.fixture(scope="module")
def one_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A process group of this process alone."""
    store = torch.distributed.FileStore(str(tmp_path_factory.mktemp("ddp") / "store"), 1)
    torch.distributed.init_process_group("gloo", store=store, rank=0, world_size=1)
    yield
    torch.distributed.destroy_process_group()


@every_loss
@pytest.mark.usefixtures("one_process")
def test_distributed_training_gives_the_same_step(call: str) -> None:
    plain, step = Step(call), Step(call)
    expected = trained(plain, plain.network)
    distributed = torch.nn.parallel.DistributedDataParallel(step)
    for result in (trained(distributed, step.network), trained(distributed, step.network)):
        torch.testing.assert_close(result, expected)


@every_loss
def test_losses_share_no_memory(call: str) -> None:
    one, other = build(call), build(call)
    addresses = [buffer.data_ptr() for loss in (one, other) for buffer in loss.buffers()]
    assert len(set(addresses)) == len(addresses)
    signals = ordinary()
    before = other(*signals)
    state = one.state_dict()
    one.load_state_dict(state | {name: 2 * buffer for name, buffer in one.named_buffers()})
    assert other(*signals) == before
    assert build(call)(*signals) == before

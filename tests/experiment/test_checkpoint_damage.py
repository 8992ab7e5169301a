"""A damaged checkpoint is noticed, whatever is damaged, and counts as none."""

import pytest
import torch
from torch import nn

from zapbench.experiment import checkpoints
from zapbench.experiment.checkpoints import Checkpoint, DamagedError

PLACES = 600


@pytest.fixture
def saved(tmp_path):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(5, 4), nn.Linear(4, 3))
    optimizer = torch.optim.Adam(model.parameters())
    model(torch.randn(2, 5)).sum().backward()
    optimizer.step()
    checkpoint = Checkpoint(
        config_hash="c",
        updates=7,
        finished=False,
        model=model.state_dict(),
        outputs=3,
        optimizer=optimizer.state_dict(),
        generators=checkpoints.generator_states(),
        seconds=1.5,
        point={"losses": torch.randn(3), "correct": torch.empty(0)},
        identity="i",
    )
    path = tmp_path / checkpoints.FILE
    checkpoints.save(path, checkpoint)
    return path, checkpoint


def load_or_none(path):
    try:
        return checkpoints.load(path)
    except DamagedError:
        return None


def same(one, other):
    return checkpoints.digest_of(vars(one)) == checkpoints.digest_of(vars(other))


def test_what_is_saved_is_loaded(saved):
    path, checkpoint = saved
    assert same(checkpoints.load(path), checkpoint)


def test_a_flipped_bit_is_noticed_or_changes_nothing(saved):
    path, checkpoint = saved
    content = path.read_bytes()
    noticed = 0
    for number in range(PLACES):
        place = number * len(content) // PLACES
        damaged = bytearray(content)
        damaged[place] ^= 1 << (number % 8)
        path.write_bytes(damaged)
        found = load_or_none(path)
        noticed += found is None
        assert found is None or same(found, checkpoint), place
    assert noticed > PLACES // 4


def test_a_truncated_checkpoint_is_noticed(saved):
    path, _ = saved
    content = path.read_bytes()
    for length in (0, 1, 100, len(content) // 2, len(content) - 1):
        path.write_bytes(content[:length])
        with pytest.raises(DamagedError):
            checkpoints.load(path)


def test_a_checkpoint_of_an_earlier_version_without_a_digest_is_read(saved):
    path, checkpoint = saved
    values = {key: value for key, value in vars(checkpoint).items() if key != "identity"}
    torch.save({"schema": checkpoints.SCHEMA, **values}, path)
    assert checkpoints.load(path).identity == ""

"""The contract of a transfer: everything shipped keeps it."""

import pytest

from zapbench import config
from zapbench.checks import transfer as check_transfer
from zapbench.experiment.root import register_everything


@pytest.mark.parametrize("name", config.names("transfers"))
def test_every_shipped_transfer_keeps_the_contract(name):
    findings = list(check_transfer.check_transfer(name))
    assert [(f.clause, f.detail) for f in findings if not f.holds or f.detail] == []
    assert len(findings) >= 6


def test_the_check_shrinks_what_there_is():
    """A renamed size or macro would make it slow in silence."""
    named = config.mentioned("scenarios", "glyphs").union(*(config.mentioned("strategies", n) for n in ("iid", "asb")))
    named |= config.mentioned("transfers", "er_ace")
    shrunk = [
        b
        for b in config.parse_bindings(check_transfer.SHRUNK_TRIALS)
        if b not in config.parse_bindings(check_transfer.SHRUNK)
    ]
    assert {b.selector for b in shrunk} <= named
    register_everything()
    config.compose("glyphs", "iid", "er_ace", shrunk, pretrain_seed=0)


TUNED_APART = {"joint_unfrozen": "transfer/JointInBatches.batch_size", "upgd_unfrozen": "transfer/UPGD.sigma"}
"""What was tuned for the head alone and for all layers, each."""


def test_frozen_and_unfrozen_a_contender_has_the_same_numbers():
    for name in config.names("transfers"):
        if not name.endswith("_unfrozen") or name == "sequential_unfrozen":
            continue
        frozen = config.bindings_of("transfers", name.removesuffix("_unfrozen"))
        own = config.bindings_of("transfers", name)
        apart = {key: own[key] for key in [TUNED_APART[name]]} if name in TUNED_APART else {}
        assert own == frozen | {"transfer/sequential_transfer.frozen": "False"} | apart


def test_any_contender_learns_in_mini_batches_by_a_binding():
    import gin

    every = config.parse_bindings(["transfer/sequential_transfer.images_per_step = 15"])
    for name in ("replay", "cumulative_unfrozen", "sequential"):
        kept = config.concerning("glyphs", "iid", [name], every)
        config.compose("glyphs", "iid", name, kept, pretrain_seed=0)
        with gin.config_scope("transfer"):
            protocol = gin.get_configurable("sequential_transfer")()
        assert protocol.images_per_step == 15
        assert protocol.name.endswith("frozen, 15 images per step")

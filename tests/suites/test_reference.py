"""Every published result can be compared with: its suite is shipped, with the configurations of its logs."""

import pytest

from zapbench import config
from zapbench.leaderboard import published
from zapbench.suites.reference import read_reference, suite_for


@pytest.mark.parametrize("name", published.names())
def test_every_published_result_can_be_compared_with(name, data_root):
    """Its suite is shipped, with the configurations that its logs were made with."""
    reference = read_reference(name, "transfers")
    suite = suite_for("untrained", "strategies", reference)
    assert (suite.seeds, suite.trials, suite.rates) == (
        reference.suite.seeds, reference.suite.trials, reference.suite.rates,
    )  # fmt: skip
    words = reference.tables[-1].protocol
    head = "ncm" if words == "sequential, frozen" else "sequential_unfrozen_sgd"
    suite = suite_for(head, "transfers", reference)
    chosen = {row.method: row.setting for row in reference.tables[-1].rows}
    for strategy in suite.strategies:
        (setting,) = suite.settings_of(suite.scenarios[0], strategy)
        assert ", ".join(f"{key}={value}" for key, value in setting.items()) == chosen[strategy]
    assert config.name_of(suite.transfers[0]) == head

"""The table of Avalanche's strategies says what happens, and what a strategy lacks is named as a binding."""

import avalanche_strategies
import pytest
from avalanche.training.supervised import MIR, ICaRL
from qpsolvers.solvers import solve_function

from zapbench.plugins import make_strategy


def without_messages(table):
    """Each row up to the kind of error: its message is another library's, and another version's may differ."""
    return [row.split(": ")[0] for row in table.splitlines()]


def test_the_table_of_strategies_is_what_is_found(monkeypatch):
    monkeypatch.delitem(solve_function, "quadprog", raising=False)  # GEM's, which some installations have
    (found,) = avalanche_strategies.MARKED.findall(avalanche_strategies.DOCUMENT.read_text(encoding="utf-8"))
    rows = without_messages(avalanche_strategies.table())
    assert without_messages(found[1]) == rows
    assert len(rows) == 2 + len(avalanche_strategies.strategies())


@pytest.mark.parametrize(
    ("strategy", "words"),
    [
        (MIR, "MIR needs the bindings `transfer/MIR.mem_size`, `transfer/MIR.subsample`$"),
        (ICaRL, "ICaRL needs the bindings `transfer/ICaRL.feature_extractor`, .*; it takes no model"),
    ],
)
def test_arguments_that_lack_a_binding_are_named(strategy, words):
    with pytest.raises(ValueError, match=words):
        make_strategy(strategy, scope="transfer/", model=None, optimizer=None, criterion=None, train_mb_size=1)

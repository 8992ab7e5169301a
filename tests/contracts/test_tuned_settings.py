"""The settings of transfer files that name a suite as their source are those that its published logs select."""

import re

import pytest
from support.paths import ROOT

from zapbench import config
from zapbench.leaderboard import published
from zapbench.leaderboard.decide.select import choose
from zapbench.leaderboard.read.load import load

SUITES = ("omniglot_small_tuning", "omniglot_small_tuning_upgd", "omniglot_small_penalties")
STRATEGY = "ASB.inner_lr=0.03, "
TUNED = {
    name: suite
    for name in config.names("transfers")
    for suite in SUITES
    if f"`{suite}`" in config.summary("transfers", name)
}


@pytest.fixture(scope="module")
def selected(tmp_path_factory):
    """Transfer -> the selected setting, as the table's notes write it."""
    logs = load(published.unpacked("omniglot_small_tuning", tmp_path_factory.mktemp("published")))
    found = {}
    for _, trials in logs.trials.groupby(["protocol", "fingerprint"]):
        for choice in choose(trials).values():
            transfer = trials[trials["method"] == choice.method].iloc[0]["transfer"]
            found[transfer] = choice.setting.removeprefix(STRATEGY)
    return found


def test_every_transfer_with_a_strength_or_a_memory_is_tuned():
    text = (ROOT / "gin" / "suites" / "omniglot_small_tuning.gin").read_text(encoding="utf-8")
    tuned = set(re.findall(r"^    \"(\w+)\": \[", text, re.MULTILINE)) - {"asb_zap", "sequential"}
    assert {name for name, suite in TUNED.items() if suite == "omniglot_small_tuning"} == tuned
    assert {"ewc", "si", "mas", "lwf"} <= TUNED.keys()


@pytest.mark.parametrize("name", TUNED)
def test_a_file_has_the_setting_that_its_suite_selects(name, selected):
    setting = selected[name] if name in selected else selected[f"{name}_unfrozen"]
    bound = config.bindings_of("transfers", name)
    binding, _, value = setting.partition("=")
    assert str(bound[binding]) == value

"""The diagrams and the table of networks in the documents are what their scripts make; the paper's counts agree."""

import re

import diagrams
import networks
import pytest
from support.paths import ROOT

from zapbench import config
from zapbench.leaderboard.show.drawing import save

WORDS = re.compile(r"<!-- (.+?) -->")


@pytest.mark.parametrize("name", diagrams.DIAGRAMS)
def test_a_committed_diagram_says_what_its_script_draws(name, tmp_path):
    """Matplotlib writes each text as a comment beside its outlines, which differ between its versions."""
    save(diagrams.DIAGRAMS[name](), tmp_path / "now.svg")
    committed = (ROOT / "docs" / "pictures" / f"{name}.svg").read_text(encoding="utf-8")
    assert WORDS.findall((tmp_path / "now.svg").read_text(encoding="utf-8")) == WORDS.findall(committed)
    assert f"pictures/{name}.svg" in (ROOT / "docs" / "explanation" / "algorithms.md").read_text(encoding="utf-8")


def test_the_table_of_networks_is_what_the_code_makes():
    committed = (ROOT / "docs" / "networks.md").read_text(encoding="utf-8")
    assert f"\n{networks.table()}\n" in committed, "run: make results"


def test_the_networks_have_the_parameters_that_the_paper_and_the_official_code_state():
    for count in ("3,489,256", "3,977,416", "6,338,280", "2,189,120"):
        assert count in networks.table()


def test_every_scenario_and_strategy_that_the_table_names_is_shipped():
    known = {name for kind in config.KINDS for name in config.shipped_names(kind)}
    for network in networks.NETWORKS:
        assert set(re.findall(r"`(\w+)`", network.used)) <= known


@pytest.mark.parametrize(
    ("scenario", "filters"), [("omniglot", 256), ("omniglot_small", 32), ("glyphs", 16), ("mini_imagenet", 256)]
)
def test_the_widths_of_the_table_are_those_of_the_scenarios(scenario, filters):
    assert config.bindings_of("scenarios", scenario)["convnet.filters"] == str(filters)
    row = next(line for line in networks.table().splitlines() if f"`{scenario}` |" in line)
    assert f"of {filters} filters" in row

"""The reference pages agree with the code: commands, everything that a shipped file binds, and defaults."""

import ast
import re

import gin
import pytest
import reference

from zapbench import config


@pytest.fixture(scope="module")
def page():
    with gin.unlock_config():  # another test may have composed a run, which locks gin before everything is imported
        return reference.configurables()


def test_every_parameter_that_a_shipped_file_binds_is_on_the_page(page):
    own = set(re.findall(r"^### (\w+)$", page, re.M))
    others = set(re.findall(r"`(\w+)`", page.partition("## From Avalanche and PyTorch")[2]))
    bound = {key for kind in config.KINDS for name in config.names(kind) for key in config.bindings_of(kind, name)}
    for key in bound:
        configurable, _, parameter = key.rsplit("/", 1)[-1].partition(".")
        if parameter and configurable not in others:
            assert configurable in own
            assert f"| `{configurable}.{parameter}` |" in page, key
    assert {"run", "Suite", "LogMapping", "ASB", "ZapEvery", "convnet", "glyphs"} <= own
    assert {"Adam", "ReplayPlugin"} <= others


@pytest.mark.parametrize(
    ("parameter", "default"),
    [("convnet.filters", 256), ("ZapEpisodeClass.every", 1), ("Suite.trials", 10), ("glyphs.classes_per_trial", 60)],
)
def test_defaults_are_those_of_the_code(parameter, default, page):
    (shown,) = re.findall(rf"^\| `{re.escape(parameter)}` \| `(.*)` \|$", page, re.M)
    assert ast.literal_eval(shown) == default


def test_a_parameter_without_default_is_marked_required(page):
    assert "| `ASB.inner_lr` | REQUIRED |" in page


def test_every_command_and_configuration_is_on_its_page():
    commands = reference.commands()
    for name in ("run", "suite", "leaderboard", "data fetch", "doctor"):
        assert f"## zapbench {name}\n" in commands
    assert "--dry-run" in commands
    shown = reference.configurations()
    for kind in config.KINDS:
        for name in config.names(kind):
            assert config.find(kind, name).read_text(encoding="utf-8").rstrip() in shown


def test_unchanged_pages_are_not_written_again(tmp_path, monkeypatch):
    for maker in ("commands", "configurables", "configurations", "modules"):
        monkeypatch.setattr(reference, maker, lambda: "text")
    reference.write(tmp_path)
    stamps = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    assert len(stamps) == 4
    reference.write(tmp_path)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == stamps

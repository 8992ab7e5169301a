"""The completion script: bash completes commands, options, choices, names of configurations and files."""

import subprocess

import pytest

from zapbench import config
from zapbench.cli.main import main


@pytest.fixture
def complete(tmp_path, capsys):
    """Returns what bash offers for the last of some words, in a folder with a .gin file, another file and a folder."""
    (tmp_path / "mine.gin").touch()
    (tmp_path / "mistake.txt").touch()
    (tmp_path / "mixed").mkdir()
    assert main(["completion", "bash"]) == 0
    (tmp_path / "script").write_text(capsys.readouterr().out)

    def offered(*words):
        line = " ".join(f"'{word}'" for word in ("zapbench", *words))
        code = (
            f"source ./script; COMP_WORDS=({line}); COMP_CWORD={len(words)}; "
            "_shtab_zapbench; printf '%s\\n' \"${COMPREPLY[@]}\""
        )
        done = subprocess.run(["bash", "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
        assert not done.stderr
        return set(done.stdout.split())

    return offered


def test_commands_and_options_are_completed(complete):
    assert complete("le") == {"leaderboard"}
    assert complete("suite", "--dr") == {"--dry-run"}
    assert complete("list", "str") == {"strategies"}


def test_names_of_configurations_and_files_are_completed(complete):
    def names(kind, start):
        return {name for name in config.names(kind) if name.startswith(start)}

    assert complete("run", "glyp") == names("scenarios", "glyp")
    assert complete("run", "glyphs", "asb") == names("strategies", "asb")
    assert complete("run", "mi") == {*names("scenarios", "mi"), "mine.gin", "mixed"}
    assert complete("run", "glyphs", "asb", "--transfer", "sequential_s") >= {"sequential_sgd"}
    assert complete("suite", "dem") == names("suites", "dem")
    for command in ("leaderboard", "claims", "audit", "show", "submit", "transfer"):
        assert complete(command, "mi") == {"mine.gin", "mistake.txt", "mixed"}
    assert complete("leaderboard", "runs", "--mapping", "mi") == {"mine.gin", "mistake.txt", "mixed"}


def test_the_script_for_zsh_offers_names_and_files(capsys):
    assert main(["completion", "zsh"]) == 0
    script = capsys.readouterr().out
    assert f"_zapbench_suites() {{\n  compadd -- {' '.join(config.names('suites'))}\n  _files -g '*.gin'\n}}" in script
    assert ":_zapbench_suites" in script


def test_a_shell_without_a_script_is_refused(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["completion", "fish"])
    assert ended.value.code == 2

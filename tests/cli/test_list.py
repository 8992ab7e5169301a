"""`zapbench list` is a page; a kind is listed completely or filtered by a word."""

import pytest

from zapbench import config
from zapbench.cli.list import FIRST
from zapbench.cli.main import main


@pytest.mark.parametrize("width", [80, 100, 200])
def test_the_overview_fits_a_page_and_no_name_is_cut(width, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", str(width))
    assert main(["list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) <= 30
    assert max(map(len, lines)) <= width
    for kind, names in FIRST.items():
        assert f"{len(config.names(kind))} {kind}" in "\n".join(lines)
        for name in names:
            assert any(line.split()[:1] == [name] for line in lines), name


@pytest.mark.parametrize("width", [80, 100])
def test_a_kind_is_listed_with_whole_descriptions_in_the_width_of_the_screen(width, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", str(width))
    assert main(["list", "transfers"]) == 0
    shown = capsys.readouterr().out
    assert max(map(len, shown.splitlines())) <= width
    assert "…" not in shown
    names = [line.split()[0] for line in shown.splitlines() if line.startswith("  ") and line[2] != " "]
    assert names == config.names("transfers")


def test_a_word_filters_names_and_descriptions(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "300")
    assert main(["list", "strategies", "Appendix F"]) == 0
    names = {line.split()[0] for line in capsys.readouterr().out.splitlines()}
    assert names == {name for name in config.names("strategies") if "appendix F" in config.summary("strategies", name)}
    assert "iid_zap_ten" in names


@pytest.mark.parametrize(
    ("words", "said"),
    [(["strategies", "nothing like it"], "contains 'nothing like it'"), (["strategy"], "invalid choice: 'strategy'")],
)
def test_a_word_or_kind_that_finds_nothing_is_one_line_and_exit_2(words, said, capsys):
    try:
        status = main(["list", *words])
    except SystemExit as error:
        status = error.code
    assert status == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert said in line


def test_an_unknown_name_gives_the_nearest_ones_and_where_all_are_listed(capsys):
    assert main(["run", "glyphs", "asb_zapp"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("zapbench: no strategy 'asb_zapp', did you mean asb_zap")
    assert line.endswith("?; `zapbench list strategies` shows all")

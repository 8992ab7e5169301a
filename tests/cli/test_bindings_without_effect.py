"""A binding that nothing reads, of `-p` or in a person's own file, is refused before anything is trained."""

import pytest

from zapbench.cli.main import main

SMALL = ["ASB_EPISODES = 2", "convnet.filters = 4", "glyphs.images_held_out = 1"]


def run(folder, strategy, *bindings, transfer="sequential"):
    words = [word for binding in (*SMALL, *bindings) for word in ("-p", binding)]
    few = ["--rates", "0.01", "--trials", "1", "--select-trials", "1", "--out", str(folder / "out")]
    return main(["run", "glyphs", str(strategy), "--transfer", str(transfer), *few, *words])


@pytest.mark.parametrize(
    ("binding", "reason"),
    [
        ("outter/Adam.lr = 0.01", "no scope 'outter' is entered; there is outer/Adam"),
        ("Adam.lr = 0.01", "outer/Adam.lr is bound and hides it"),
    ],
)
@pytest.mark.parametrize("given", ["by -p", "in a file"])
def test_a_binding_without_effect_is_refused_with_the_reason(given, binding, reason, tmp_path, capsys):
    strategy, file, bindings = "asb", "", [binding]
    if given == "in a file":
        strategy = file = tmp_path / "mine.gin"
        strategy.write_text(f'include "strategies/asb.gin"\n{binding}\n')
        bindings = []
    assert run(tmp_path, strategy, *bindings) == 2
    where = f" of {file}" if file else ""
    assert f"{binding}{where} has no effect in these runs: {reason}" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("line", "reason"), [("MetaASB.inner_lr = 0.1", "MetaASB is not used"), ("INER_LR = 0.1", "nothing reads INER_LR")]
)
def test_what_an_own_strategy_binds_and_nothing_reads_is_refused(line, reason, tmp_path, capsys):
    mine = tmp_path / "mine.gin"
    mine.write_text(f'include "strategies/asb.gin"\n{line}\n')
    assert run(tmp_path, mine) == 2
    assert f"{line} of {mine} has no effect in these runs: {reason}" in capsys.readouterr().err


def test_what_an_own_transfer_binds_and_nothing_reads_is_refused(tmp_path, capsys):
    mine = tmp_path / "mine.gin"
    mine.write_text('include "transfers/sequential.gin"\ntransfer/SGD.momentum = 0.9\n')
    assert run(tmp_path, "asb", transfer=mine) == 2
    assert f"transfer/SGD.momentum = 0.9 of {mine} has no effect in these runs" in capsys.readouterr().err


def test_bindings_of_an_own_file_that_count_or_that_others_replace_are_not_refused(tmp_path):
    mine = tmp_path / "mine.gin"
    mine.write_text('include "strategies/asb.gin"\nADAMS = 0.002\nouter/Adam.lr = %ADAMS\nouter/Adam.eps = 1e-7\n')
    assert run(tmp_path, mine, "outer/Adam.eps = 1e-6") == 0
    replaced = tmp_path / "replaced.gin"
    replaced.write_text('include "strategies/asb.gin"\nAdam.eps = 1e-7\ntransfer/SGD.momentum = 0.9\n')
    assert run(tmp_path, replaced, "outer/Adam.eps = 1e-6", "transfer/Adam.eps = 1e-6") == 0

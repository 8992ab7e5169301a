"""`zapbench compare`: mine on the terms of published results, from the command to the answer, at a small size."""

import tarfile
from pathlib import Path

import pytest
from support.documents import forget, shrink
from support.hostile import rewrite

from zapbench.cli.main import main
from zapbench.leaderboard import contract, published
from zapbench.leaderboard.read.load import load
from zapbench.leaderboard.read.parse import description_of
from zapbench.suites.reference import model_cache

LITTLE = """# Two pre-trainings of a few glyphs
Suite.scenarios = ["glyphs"]
Suite.strategies = ["iid", "asb"]
Suite.transfers = ["sequential"]
Suite.seeds = 3
Suite.trials = 1
Suite.select_trials = 1
Suite.rates = [0.01]
Suite.tune = {"asb": [{"ASB.inner_lr": 0.03}, {"ASB.inner_lr": 0.1}]}
Suite.bindings = ["transfer/sequential_transfer.every = 2"]
"""


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """Published results of a small suite: the folder of results, and the logs that they were packed from."""
    folder = tmp_path_factory.mktemp("little")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ZAPBENCH_DATA", str(folder / "data"))
        patch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
        shrink(folder / "gin", patch)
        (folder / "gin" / "suites" / "little.gin").write_text(LITTLE)
        assert main(["suite", "little", "--out", str(folder / "theirs")]) == 0
        (folder / "results" / "little").mkdir(parents=True)
        with tarfile.open(folder / "results" / "little" / "logs.tar.xz", "w:xz") as archive:
            for path in sorted((folder / "theirs").rglob("*tfevents*")):
                archive.add(path, path.relative_to(folder / "theirs"))
        patch.setattr(published, "RESULTS", folder / "results")
        yield folder
    forget()


@pytest.fixture
def little(results, tmp_path, monkeypatch):
    """The folder of published results; the current folder is empty."""
    monkeypatch.chdir(tmp_path)
    return results


def times_of(folder):
    return {path.relative_to(folder): path.stat().st_mtime_ns for path in sorted(folder.rglob("checkpoint.pt"))}


def test_a_transfer_runs_after_the_models_of_the_results_which_are_rebuilt_once(little, capsys):
    assert main(["compare", "ncm", "--with", "little"]) == 0
    said = capsys.readouterr()
    assert "asb + ncm (glyphs: sequential, frozen transfer): " in said.out
    assert "iid + ncm (glyphs: sequential, frozen transfer): " in said.out
    assert "Rebuilt models: the validation accuracy of 6 is 0.00 points" in said.out
    first = times_of(model_cache("little"))
    assert len(first) == 6  # of ASB's two settings the selected one alone
    assert len(list(Path("runs/compare/little/ncm").glob("compare-glyphs-sequential-frozen-*.png"))) == 1
    assert main(["compare", "ridge", "--with", "little", "--strategies", "asb"]) == 0
    said = capsys.readouterr().out
    assert "asb + ridge" in said
    assert "iid + ridge" not in said
    assert times_of(model_cache("little")) == first
    next(model_cache("little").rglob("checkpoint.pt")).unlink()  # what a person deleted is rebuilt
    assert main(["compare", "slda", "--with", "little"]) == 0
    now = times_of(model_cache("little"))
    assert set(now) == set(first)
    assert sum(now[path] != first[path] for path in first) == 1
    configured, imaged = (path.parent for path in sorted(model_cache("little").rglob("checkpoint.pt"))[:2])
    for stale, field in ((configured, "config_hash"), (imaged, "data")):  # of another configuration, of other images
        held = getattr(description_of(stale / contract.EVENT_FILE), field)
        rewrite(stale / contract.EVENT_FILE, held.encode(), b"0" * len(held))
    assert main(["compare", "ranpac", "--with", "little"]) == 0
    then = times_of(model_cache("little"))
    rebuilt = {(stale / "checkpoint.pt").relative_to(model_cache("little")) for stale in (configured, imaged)}
    assert {path for path in now if then[path] != now[path]} == rebuilt


def test_a_strategy_runs_on_the_seeds_rates_and_trials_of_the_results(little, capsys):
    assert main(["compare", "iid_zap", "--with", "little"]) == 0
    said = capsys.readouterr().out
    assert "iid_zap (glyphs: sequential, frozen transfer): " in said
    assert "Holm-adjusted over 2 comparisons" in said
    theirs, mine = (load(path).trials for path in (little / "theirs", Path("runs/compare/little/iid_zap")))
    assert set(mine["fingerprint"]) == set(theirs["fingerprint"])
    for column in ("pretrain_seed", "rate", "role", "transfer_seed", "cadence"):
        assert set(mine[column]) == set(theirs[column])


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["iid", "--with", "little"], "iid is in the published results little"),
        (["sequential", "--with", "little"], "sequential is in the published results little"),
        (["iid_sgd", "--with", "little"], "a transfer of the protocol iid, unfrozen; little holds: sequential, frozen"),
        (["ncm", "--with", "little", "--strategies", "asc"], "did you mean asb?"),
        (["iid_zap", "--with", "little", "--strategies", "asb"], "--strategies is for a transfer"),
        (["ncm", "--with", "litle"], "did you mean little?"),
        (["nmc", "--with", "little"], "did you mean ncm"),
    ],
)
def test_what_cannot_be_compared_is_refused_before_anything_is_trained(little, words, said, capsys):
    capsys.readouterr()
    assert main(["compare", *words]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
    assert not Path("runs").exists()

"""The commands as they are run from the command line, on a shrunken `glyphs`."""

import json
import re
import shutil
import subprocess
import sys

import pytest

from zapbench.checks.reproduce import repeat
from zapbench.cli.main import main
from zapbench.experiment.trials import Trials
from zapbench.leaderboard import contract
from zapbench.leaderboard.read.load import load
from zapbench.leaderboard.read.parse import read_file

SHRUNK = [
    "-p", "glyphs.classes_per_trial = 5",
    "-p", "glyphs.classes_per_selection_trial = 5",
    "-p", "ASB.episodes = 4",
    "-p", "ASB.inner_images = 3",
    "-p", "convnet.filters = 4",
    "--rates", "0.01", "0.1", "--trials", "2", "--select-trials", "1",
]  # fmt: skip


def run(out, *more, strategy="asb_zap", seed=0):
    shrunk = [*SHRUNK]
    for option in ("--rates", "--trials"):
        if option in more:  # an option may be given once
            start = shrunk.index(option)
            end = next(i for i in range(start + 1, len(shrunk) + 1) if i == len(shrunk) or shrunk[i].startswith("-"))
            del shrunk[start:end]
    return main(["run", "glyphs", strategy, "--out", str(out), "--seed", str(seed), *shrunk, *more])


def curves(out):
    """(folder, tag, step, value) of all curves except costs, and descriptions without their volatile fields."""
    found = []
    for path in sorted(out.rglob("*tfevents*")):
        file = read_file(path)
        folder = path.parent.relative_to(out).as_posix()
        for tag, (steps, values) in sorted(file.curves.items()):
            if not tag.startswith("cost/"):
                found += [(folder, tag, step, value) for step, value in zip(steps, values)]
        found.append((folder, file.closing, file.class_accuracy, file.description.stable()))
    return found


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    out = tmp_path_factory.mktemp("finished")
    for seed in range(3):
        for strategy in ("asb_zap", "asb"):
            assert run(out, strategy=strategy, seed=seed) == 0
    return out


def test_the_same_seed_gives_bit_identical_records(finished, tmp_path):
    assert run(tmp_path) == 0
    again = curves(tmp_path)
    folder = again[0][0].split("/seed=")[0]
    first = [row for row in curves(finished) if row[0].startswith(f"{folder}/seed=0")]
    assert again == first
    assert len(again) > 20


def test_every_method_learns_the_same_classes_in_the_same_order_from_the_same_images_and_head(tmp_path, monkeypatch):
    met = {}

    def watch(self, model, spec, inputs, original=Trials.plan):
        plan = original(self, model, spec, inputs)
        trial = plan.trial
        draws = (trial.classes, trial.labels, trial.train, trial.held_out, plan.head.weight)
        met.setdefault(strategy, []).append([part.tolist() for part in draws])
        return plan

    monkeypatch.setattr(Trials, "plan", watch)
    for strategy in ("asb_zap", "asb"):
        assert run(tmp_path, strategy=strategy) == 0
    assert met["asb"] == met["asb_zap"]
    assert len(met["asb"]) == 6


def test_the_table_needs_only_the_event_files(finished, tmp_path, capsys):
    def table(folder):
        capsys.readouterr()
        assert main(["leaderboard", str(folder), "--format", "json"]) == 0
        return capsys.readouterr().out

    before = table(finished)
    for path in finished.rglob("*tfevents*"):
        target = tmp_path / path.relative_to(finished)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    assert not list(tmp_path.rglob("*.pt"))
    assert table(tmp_path) == before
    rows = json.loads(before)["tables"][0]["rows"]
    assert [row["seeds"] for row in rows] == [3, 3]


def test_finished_tasks_are_not_repeated(finished, capsys):
    stamps = {path: path.stat().st_mtime_ns for path in finished.rglob("*") if path.is_file()}
    assert run(finished) == 0
    assert {path: path.stat().st_mtime_ns for path in finished.rglob("*") if path.is_file()} == stamps
    assert "9 tasks" not in capsys.readouterr().out


def test_a_run_prints_its_own_table_alone_then_its_logs_and_the_next_steps(finished, capsys):
    assert run(finished) == 0
    table, _, steps = capsys.readouterr().out.partition("logs:")
    assert re.search(r"\basb_zap\b", table)
    assert not re.search(r"\basb\b", table)
    folder = next(path for path in (finished / "glyphs" / "asb_zap").rglob("seed=0") if path.is_dir())
    assert steps.splitlines() == [
        f"    {folder}",
        f"curves:  tensorboard --logdir {finished}",
        f"next:    zapbench leaderboard {finished}  # ranks it with the other runs there",
    ]


def test_a_repetition_says_what_it_does_and_that_the_result_is_the_same(finished, capsys, monkeypatch):
    monkeypatch.setattr("zapbench.launchers.progress.LINE_SECONDS", 0.0)
    trial = next(finished.rglob("report=0"))
    assert main(["repeat", str(trial)]) == 0
    shown = capsys.readouterr()
    assert "the same" in " ".join(shown.out.split()), "lines are cut where they are long"
    assert "importing PyTorch and Avalanche" in shown.err
    assert "transfer sequential" in shown.err


def test_a_repetition_compares_the_table_of_classes(finished):
    compared = {field.name: field for field in repeat(next(finished.rglob("report=0")), 1)}
    assert compared[contract.CORRECT].same


def test_warnings_that_avalanche_causes_are_hidden(tmp_path):
    words = ["run", "glyphs", "asb_zap", "--transfer", "replay", "--out", str(tmp_path / "runs"), *SHRUNK]
    command = [sys.executable, "-m", "zapbench", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "7 tasks" in done.stderr
    assert "Warning" not in done.stderr


def test_other_warnings_are_shown_after_a_process_was_prepared_many_times():
    code = (
        "import warnings; from zapbench.launchers.job import prepare_process; "
        "[prepare_process(1) for _ in range(1100)]; warnings.warn('something else')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "UserWarning: something else" in done.stderr


def test_a_missing_trial_is_run_again_from_the_checkpoint_alone(finished, tmp_path):
    shutil.copytree(finished, tmp_path / "copy")
    lost = next((tmp_path / "copy").rglob("report=1/*tfevents*"))
    expected = curves(tmp_path / "copy")
    lost.unlink()
    seed = int(str(lost).split("seed=")[1][0])
    strategy = "asb_zap" if "/asb_zap/" in str(lost) else "asb"
    assert run(tmp_path / "copy", strategy=strategy, seed=seed) == 0
    assert curves(tmp_path / "copy") == expected


def test_a_diverged_pretraining_is_a_result_and_exits_0(tmp_path, capsys):
    assert run(tmp_path, "-p", "ASB.inner_lr = 1e30") == 0
    logs = load(tmp_path)
    assert set(logs.runs["status"]) == {contract.DIVERGED}
    assert set(logs.trials["status"]) == {contract.DIVERGED}
    assert "diverged" in capsys.readouterr().out


def test_a_diverged_trial_is_a_result_and_exits_0(tmp_path):
    assert run(tmp_path, "--transfer", "sequential_sgd", "--rates", "0.01", "1e38") == 0
    trials = load(tmp_path).trials
    assert set(trials[trials["rate"] == 0.01]["status"]) == {contract.FINISHED}
    assert set(trials[trials["rate"] > 1]["status"]) == {contract.DIVERGED}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["run", "glyph", "asb"], "no scenario 'glyph', did you mean glyphs"),
        (["run", "glyphs", "asb_zapp"], "no strategy 'asb_zapp', did you mean asb_zap"),
        (["run", "glyphs", "asb", "--transfer", "iids"], "no transfer 'iids'"),
        (["run", "glyphs", "asb", "-p", "ASB.episode = 3"], "ASB has no parameter 'episode', did you mean episodes"),
        (["run", "glyphs", "asb", "-p", "IID.epochs = 3"], "IID.epochs = 3 reaches nothing in these runs"),
        (["run", "glyphs", "asb", "-p", "K = 0"], "inner_images (K) must be at least 1, got 0"),
        (["run", "glyphs", "asb", "-p", "INNER_LR = -1"], "inner_lr must be above 0, got -1"),
        (["run", "glyphs", "asb", "-p", "glyphs.classes_per_trial = 149"], "is 149, and there are 148 classes"),
        (["run", "glyphs", "asb", "-p", "ASB.episodes = 'many'"], "ASB.episodes is 'many'; allowed: a whole number"),
        (["run", "glyphs", "asb", "-p", "convnet.blocks = 9"], "images of 28x28 are too small for 9 blocks"),
        (["run", "glyphs", "asb", "--rates", "0"], "rates holds 0.0; allowed: a learning rate"),
        (["run", "glyphs", "asb", "--rates", "nan"], "rates holds nan; allowed: a learning rate"),
        (["suite", "demoo"], "no suite 'demoo', did you mean demo"),
        (["leaderboard", "nowhere"], "no folder nowhere"),
    ],
)
def test_a_wrong_command_prints_one_line_and_exits_2_before_any_training(
    arguments, words, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    error = capsys.readouterr().err.strip().splitlines()
    assert len([line for line in error if line.startswith("zapbench:")]) == 1
    assert words in error[-1]
    assert not (tmp_path / "runs").exists()


def test_a_folder_that_holds_another_run_is_refused(finished, tmp_path, capsys):
    shutil.copytree(finished, tmp_path / "copy")
    for path in (tmp_path / "copy" / "glyphs").rglob("seed=0"):
        if "/asb_zap/" in str(path):
            other = next(p for p in (tmp_path / "copy").rglob("seed=0") if "/asb/" in str(p))
            shutil.rmtree(path)
            shutil.copytree(other, path)
            break
    assert run(tmp_path / "copy") == 2
    assert "holds another run: its configuration is another (ASB.plugins" in capsys.readouterr().err


def test_help_and_list_need_neither_torch_nor_avalanche():
    for arguments in (["--help"], ["run", "--help"], ["list"]):
        code = (
            "import sys; from zapbench.cli import main\n"
            f"try: main({arguments!r})\n"
            "except SystemExit: pass\n"
            "assert not {'torch', 'avalanche'} & set(sys.modules), 'heavy import'"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert "asb_zap" in done.stdout or "SCENARIO" in done.stdout


def test_a_suite_runs_in_processes_and_runs_only_the_selected_setting_on_the_reported_trials(tmp_path, capsys):
    arguments = ["suite", "demo", "--out", str(tmp_path), "--jobs", "2"]
    for binding in (
        "Suite.seeds = 1", "Suite.trials = 2", "Suite.select_trials = 1", "Suite.rates = [0.001, 0.01]",
        "Suite.strategies = ['asb']", "Suite.tune = {'asb': [{'ASB.inner_lr': 0.1}, {'ASB.inner_lr': 1e30}]}",
        "Suite.tried_before = {}", "glyphs.classes_per_trial = 5", "glyphs.classes_per_selection_trial = 5",
        "ASB.episodes = 4", "convnet.filters = 4",
    ):  # fmt: skip
        arguments += ["-p", binding]
    assert main(arguments) == 0
    trials = load(tmp_path).trials
    report = trials[trials["role"] == "report"]
    assert len(report) == 2
    assert set(report["setting"]) == {"ASB.inner_lr=0.1"}
    assert set(trials[trials["setting"] == "ASB.inner_lr=1e+30"]["status"]) == {contract.DIVERGED}
    shown = capsys.readouterr().out
    for name in ("table.md", "glyphs_small-sequential-frozen-"):
        assert f"{tmp_path}/results/demo/{name}" in shown
    assert "| asb |" in (tmp_path / "results" / "demo" / "table.md").read_text()
    logs = "".join(path.read_text() for path in (tmp_path / "logs").iterdir())
    assert logs.count(" starts\n") == 3  # two runs, and the reported trials of the selected one
    assert logs.count("/seed=0: done\n") == 2
    assert main(arguments) == 0
    assert "8 of them done before" in capsys.readouterr().err.replace("\n", " ")


def test_a_suite_pretrains_the_other_seeds_at_the_setting_that_the_first_one_selects(tmp_path, capsys):
    arguments = ["suite", "demo", "--out", str(tmp_path), "--jobs", "2"]
    for binding in (
        "Suite.seeds = 2", "Suite.tune_seeds = 1", "Suite.trials = 1", "Suite.select_trials = 1",
        "Suite.rates = [0.01]", "Suite.strategies = ['iid', 'asb']", "Suite.tried_before = {}",
        "Suite.tune = {'asb': [{'ASB.inner_lr': 1e30}, {'ASB.inner_lr': 0.1}]}", "Suite.figures = []",
        "glyphs.classes_per_trial = 5", "glyphs.classes_per_selection_trial = 5", "ASB.episodes = 4",
        "convnet.filters = 4",
    ):  # fmt: skip
        arguments += ["-p", binding]
    assert main(arguments) == 0
    found = load(tmp_path)
    name = "asb[ASB.episodes=4]"
    asb = found.runs[found.runs["method"] == name]
    assert sorted(zip(asb["pretrain_seed"], asb["status"])) == [(0, "diverged"), (0, "finished"), (1, "finished")]
    report = found.trials[found.trials["role"] == "report"]
    assert sorted(zip(report["method"], report["pretrain_seed"], report["setting"])) == [
        (name, 0, "ASB.inner_lr=0.1"), (name, 1, "ASB.inner_lr=0.1"), ("iid", 0, ""), ("iid", 1, ""),
    ]  # fmt: skip
    shown = capsys.readouterr().out
    assert f"settings selected on pre-training seed 0 alone: {name} (2 settings" in shown
    every = [word.replace("tune_seeds = 1", "tune_seeds = 0") for word in arguments]
    assert main([*every, "--dry-run"]) == 0
    assert "16 tasks, 14 of them done" in capsys.readouterr().out
    assert main(arguments) == 0
    assert "14 tasks, 14 of them done before" in capsys.readouterr().err.replace("\n", " ")


def test_the_results_of_a_suite_ignore_other_runs_in_its_folder(finished, tmp_path, capsys):
    shutil.copytree(finished, tmp_path / "copy")
    shutil.copytree(
        finished, tmp_path / "copy" / "another"
    )  # of two records of one task, the one that is read first counts
    other = tmp_path / "one.gin"
    shrunk = [word for word in SHRUNK[1:10:2]]
    other.write_text(f"""# one strategy of two
Suite.scenarios = ["glyphs"]
Suite.strategies = ["asb"]
Suite.seeds = 2
Suite.trials = 2
Suite.select_trials = 1
Suite.rates = [0.01, 0.1]
Suite.full = True
Suite.bindings = {shrunk}
Suite.figures = ["bars"]
""")
    assert main(["suite", str(other), "--out", str(tmp_path / "copy"), "--jobs", "1"]) == 0
    shown = capsys.readouterr().out
    assert "asb_zap" not in shown
    results = sorted((tmp_path / "copy" / "results" / "one").iterdir())
    assert [path.suffix for path in results] == [".svg", ".md"]
    assert results[0].name.endswith("-bars.svg")
    lines = results[1].read_text().splitlines()
    head, row = (next(line for line in lines if word in line).split("|") for word in ("| method |", "| asb |"))
    assert row[[cell.strip() for cell in head].index("seeds")].strip() == "2"

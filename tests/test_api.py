"""`zapbench.run`, `zapbench.load` and `zapbench.compare`: what Python code and notebooks use."""

import subprocess
import sys
import threading

import pytest
from matplotlib.figure import Figure
from support.documents import DEMO

import zapbench
from zapbench.leaderboard import contract

SHRUNK = (
    "glyphs.classes_per_trial = 5",
    "glyphs.classes_per_selection_trial = 5",
    "ASB.episodes = 4",
    "ASB.inner_images = 3",
    "convnet.filters = 4",
)
FEW = {"bindings": SHRUNK, "rates": [0.01], "trials": 1, "select_trials": 1, "quiet": True}


def test_importing_zapbench_imports_little_and_comparing_logs_imports_no_torch():
    code = (
        "import sys, zapbench\n"
        "assert not {'torch', 'avalanche', 'pandas', 'rich', 'matplotlib'} & set(sys.modules), sys.modules\n"
        f"print(zapbench.compare({str(DEMO)!r}).frame()['method'].tolist())\n"
        "assert not {'torch', 'avalanche'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert sorted(eval(done.stdout)) == ["asb", "asb_zap", "iid", "iid_zap"]


def test_strategies_are_imported_without_a_warning_of_a_library_that_nothing_uses():
    code = "import zapbench.strategies; zapbench.strategies.ASB"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "QP solver" not in done.stderr


def test_a_comparison_is_text_a_frame_a_table_of_a_notebook_and_a_figure():
    comparison = zapbench.compare(zapbench.load(DEMO))
    (table,) = comparison.tables
    text = str(comparison)
    assert repr(comparison) == text
    assert text.startswith("glyphs: sequential, frozen transfer")
    assert max(map(len, text.splitlines()[:6])) <= 120
    frame = comparison.frame()
    assert frame["method"].tolist() == [row.method for row in table.rows]
    assert frame["held_out"].tolist() == pytest.approx([row.held_out.mean for row in table.rows])
    assert "| asb |" in comparison._repr_markdown_()
    figure = comparison.figure()
    assert isinstance(figure, Figure)
    assert len(figure.axes[0].lines) == len(table.rows) + 1  # and chance


def test_compare_takes_folders_logs_and_the_papers_selection():
    assert str(zapbench.compare(str(DEMO))) == str(zapbench.compare(zapbench.load([DEMO])))
    choices = zapbench.compare(DEMO, select="paper").tables[0].choices
    assert {choice.by for choice in choices.values()} == {"paper"}
    with pytest.raises(ValueError, match="select is 'best'; allowed: 'select', 'paper'"):
        zapbench.compare(DEMO, select="best")


def test_a_run_returns_the_logs_of_its_own_tasks_and_repeats_nothing(tmp_path):
    first = zapbench.run("glyphs", "asb_zap", out=tmp_path, **FEW)
    logs = zapbench.run("glyphs", ["asb"], seeds=[3], out=str(tmp_path), **FEW)
    assert set(logs.trials["strategy"]) == {"asb"}
    assert set(logs.trials["pretrain_seed"]) == {3}
    assert set(first.trials["status"]) == {contract.FINISHED}
    stamps = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*tfevents*")}
    again = zapbench.run("glyphs", ["asb"], seeds=[3], out=tmp_path, **FEW)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*tfevents*")} == stamps
    assert again.trials["file"].tolist() == logs.trials["file"].tolist()
    names = [row.method for row in zapbench.compare(tmp_path).tables[0].rows]
    assert sorted(names) == ["asb", "asb_zap"]


def test_what_cannot_be_used_is_a_value_error_and_a_failed_task_a_runtime_error(tmp_path, monkeypatch):
    for words, match in (
        (("glyph", "asb"), "no scenario 'glyph', did you mean glyphs"),
        (("glyphs", "asb_zapp"), "no strategy 'asb_zapp'"),
    ):
        with pytest.raises(ValueError, match=match):
            zapbench.run(*words, out=tmp_path)
    with pytest.raises(ValueError, match="jobs must be at least 1, got 0"):
        zapbench.run("glyphs", "asb", out=tmp_path, jobs=0)
    with pytest.raises(ValueError, match="no folder"):
        zapbench.load(tmp_path / "nowhere")
    assert not list(tmp_path.iterdir())

    def fail(*args, **kwargs):
        raise RuntimeError("no luck")

    monkeypatch.setattr("zapbench.experiment.pretraining.Pretraining.run", fail)
    with pytest.raises(RuntimeError, match="seed=0 failed: RuntimeError: no luck"):
        zapbench.run("glyphs", "asb", out=tmp_path, **FEW)


def test_a_run_works_in_another_thread_where_signals_cannot_be_handled(tmp_path):
    found = []
    thread = threading.Thread(target=lambda: found.append(zapbench.run("glyphs", "asb", out=tmp_path, **FEW)))
    thread.start()
    thread.join()
    assert len(found[0].trials) == 2

"""Writes a .gin file for a new suite."""

from pathlib import Path

from zapbench.cli.new_package import check_name

GIN = """# {title}: two ways to pre-train, on equal tuning budgets; 3 seeds x 5 trials
Suite.scenarios = ["glyphs"]
# Yours too: its name after `pip install -e my_idea`, or the path of its file, "my_idea/my_idea/my_idea.gin".
Suite.strategies = ["iid", "iid_zap"]
Suite.transfers = ["sequential"]
Suite.seeds = 3
Suite.trials = 5
Suite.select_trials = 2
Suite.rates = [0.0003, 0.001, 0.003]
Suite.figures = ["trajectories"]

# Settings to try for each strategy; the one that is best on the selection trials is reported.
Suite.tune = {{
    "iid": [{{"outer/Adam.lr": 0.0003}}, {{"outer/Adam.lr": 0.001}}],
    "iid_zap": [{{"outer/Adam.lr": 0.0003}}, {{"outer/Adam.lr": 0.001}}],
}}
"""


def new_suite(name: str, folder: Path) -> Path:
    """Writes `folder / NAME.gin` and returns it.

    Raises:
        ValueError: the name is none for a file or is taken, or the file exists.
    """
    check_name("suites", name)
    path = folder / f"{name}.gin"
    if path.exists():
        raise ValueError(f"{path} already exists")
    folder.mkdir(parents=True, exist_ok=True)
    path.write_text(GIN.format(title=name.replace("_", " ").capitalize()), encoding="utf-8")
    return path

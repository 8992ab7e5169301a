"""Writes a mapping for logs that zapbench did not write: a .gin file that `leaderboard --mapping` reads."""

from pathlib import Path

HEADER = """# How to read the logs in {name}: `zapbench leaderboard {name} --mapping {file}`
#
# A guess from their folders, tags and hyper-parameters. All settings, with examples: docs/how_to/foreign_logs.md
"""


def new_mapping(logs: Path, folder: Path) -> tuple[Path, str]:
    """Writes `folder / NAME.gin`, NAME being that of the folder of logs.

    Args:
        logs: folder of TensorBoard logs.
        folder: the file is written into this one.

    Returns:
        The file, and what it reads, in words.

    Raises:
        ValueError: nothing below the folder is a log of another program, its runs cannot be distinguished, or the file
            exists.
    """
    from zapbench.leaderboard.read.load import load
    from zapbench.leaderboard.read.suggest import as_gin, suggest

    name = logs.resolve().name or "logs"
    path = folder / f"{name}.gin"
    if path.exists():
        raise ValueError(f"{path} already exists")
    mapping = suggest(logs)
    found = load(logs, mapping=mapping)
    path.write_text(HEADER.format(name=logs, file=path) + as_gin(mapping), encoding="utf-8")
    trials = found.trials
    methods, seeds = trials["method"].nunique(), trials["pretrain_seed"].nunique()
    lines = [f"{len(trials)} runs: {methods} methods, {seeds} seeds; score: {mapping.meaning}", *found.problems[:3]]
    return path, "\n".join(lines)

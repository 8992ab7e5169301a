"""A person's strategy or transfer on the terms of published results: the suite that compares the two.

It has the scenario, protocol, seeds, trials and rates of the results. A strategy is pre-trained; a transfer takes the
pre-trained models of the results, at the settings that these selected, rebuilt once in the user's cache folder.
"""

import ast
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from zapbench import config
from zapbench.atomic import write_atomically
from zapbench.identity import identity_of
from zapbench.leaderboard import contract, published
from zapbench.leaderboard.decide.gains import REFERENCES
from zapbench.leaderboard.decide.tables import Table, tables
from zapbench.leaderboard.read.cache import default_cache
from zapbench.leaderboard.read.load import load
from zapbench.leaderboard.read.parse import description_of, status_of
from zapbench.leaderboard.read.tabulate import Logs
from zapbench.suites.plan import Plan, runs
from zapbench.suites.suite import Suite, load_suite
from zapbench.tasks import CHECKPOINT, RunSpec, Task
from zapbench.text import nearest


@dataclass(frozen=True)
class Reference:
    """Published results.

    Attributes:
        name: their name, which is that of their suite.
        suite: the suite.
        folder: their logs.
        logs: what was read from these.
        tables: ranked.
    """

    name: str
    suite: Suite
    folder: Path
    logs: Logs
    tables: list[Table]


def read_reference(name: str, kind: str) -> Reference:
    """Reads published results.

    Args:
        name: of the results, or of a scenario.
        kind: what is compared with them: `strategies` or `transfers`.

    Raises:
        ValueError: there are no such results, or no suite made them.
    """
    full = published.full_name(name, heads=kind == "transfers")
    if full not in config.names("suites"):
        raise ValueError(
            f"{full} was made of given models and not by a suite, so nothing can be run on its terms; to see your logs "
            f"beside it: zapbench leaderboard runs --with {full}"
        )
    folder = published.unpacked(full)
    logs = load(folder, cache=default_cache())
    return Reference(full, load_suite(full), folder, logs, tables(logs))


def suite_for(
    mine: str, kind: str, reference: Reference, *, bindings: Sequence[str] = (), strategies: Sequence[str] = ()
) -> Suite:
    """Returns the suite that runs a strategy or transfer on the terms of published results.

    Args:
        mine: name or path.
        kind: `strategies` or `transfers`.
        reference: the results.
        bindings: of a person, for `mine`.
        strategies: the pre-trainings of the results that a transfer follows; empty for those that the results have with
            all their seeds, or, where none has all, for those that they have.

    Raises:
        ValueError: the results hold it already, or nothing of the same protocol; or a name is unknown.
    """
    theirs = reference.suite
    if kind == "strategies":
        if strategies:
            raise ValueError("--strategies is for a transfer: it names the pre-trainings to run it after")
        _refuse_known(mine, theirs.strategy_names, bindings, reference)
        own = replace(theirs, strategies=(mine,), tune={}, tried_before={}, tune_seeds=0)
    else:
        _refuse_known(mine, theirs.transfers, bindings, reference)
        table = _table_for(mine, reference, bindings)
        chosen = _chosen(reference, table, strategies or _finished(theirs, table) or theirs.strategy_names)
        own = replace(
            theirs,
            strategies=tuple(chosen),
            transfers=(mine,),
            tune={name: [_setting(run)] for name, (run, _) in chosen.items() if run.setting},
            tried_before={name: tried for name, (_, tried) in chosen.items()},
            tune_seeds=0,
        )
    return replace(own, bindings=(*_inherited(own), *bindings), full=False, figures=())


def _refuse_known(mine: str, known: Sequence[str], bindings: Sequence[str], reference: Reference) -> None:
    if config.name_of(mine) in known and not bindings:
        raise ValueError(
            f"{config.name_of(mine)} is in the published results {reference.name}: "
            f"zapbench leaderboard --with {reference.name}"
        )


def _table_for(mine: str, reference: Reference, bindings: Sequence[str]) -> Table:
    """Returns the table of the results that has the protocol of a transfer."""
    heading = heading_of(mine, reference.suite.scenarios[0], reference.suite.strategy_names[0], bindings)
    for table in reference.tables:
        if table.protocol == heading:
            return table
    there = "; ".join(table.protocol for table in reference.tables)
    raise ValueError(f"{mine} is a transfer of the protocol {heading}; {reference.name} holds: {there}")


def heading_of(transfer: str, scenario: str, strategy: str, bindings: Sequence[str] = ()) -> str:
    """Returns what `Protocol.name` will be, from the text of the configuration: nothing is imported."""
    bound = config.transfer_configuration(scenario, strategy, transfer, config.parse_bindings(bindings))
    if "run.transfer" not in bound:
        raise ValueError(f"transfer {transfer!r} binds no run.transfer")
    order = bound["run.transfer"].rpartition("/")[2].removesuffix("()").removesuffix("_transfer")
    own = {
        key.rpartition(".")[2]: value for key, value in bound.items() if key.startswith(f"transfer/{order}_transfer.")
    }
    if order == "least_squares":
        return "at once, frozen"
    frozen, layers = own.get("frozen", str(order == "sequential")) == "True", own.get("layers", "None")
    learns = "frozen" if frozen else "unfrozen" if layers == "None" else f"last {layers} layers"
    start = " after least squares" if own.get("start") == "'lstsq'" else ""
    images = own.get("images_per_step", "1")
    return f"{order}{start}, {learns}{'' if images == '1' else f', {images} images per step'}"


def _chosen(reference: Reference, table: Table, strategies: Sequence[str]) -> dict[str, tuple[RunSpec, int]]:
    """Returns strategy -> a run at the setting that was selected for it, and how many settings were tried."""
    planned = {(run.strategy, run.config_hash): run for run in runs(reference.suite)}
    rows = {row.method: row for row in table.rows}
    found = {}
    for name in strategies:
        method = _selecting(table, name)
        if name not in reference.suite.strategy_names or not method:
            known = [strategy for strategy in reference.suite.strategy_names if _selecting(table, strategy)]
            raise ValueError(f"{reference.name} has no pre-training {name!r}{nearest(name, known)}: {', '.join(known)}")
        choice = table.choices[method]
        run = planned.get((name, choice.config_hash))
        if run is None:
            raise ValueError(f"the configuration of {name} is not the one that {reference.name} was published with")
        found[name] = (run, max(1, rows[method].settings_tried // choice.grid["rate"].nunique()))
    return found


def _selecting(table: Table, strategy: str) -> str:
    """Returns the method whose selected setting is a strategy's: that with plain fine-tuning; empty if there is none.

    Where a table has several plain transfers, methods name them: `asb (sequential)`. Where it has none, but other ways
    to learn, such as `asb + replay`, it is any of them if all selected the same pre-training.
    """
    names = (strategy, *(f"{strategy} ({transfer})" for transfer in REFERENCES))
    if plain := next((name for name in names if name in table.choices), ""):
        return plain
    others = [name for name in table.choices if name.startswith((f"{strategy} + ", f"{strategy} ("))]
    same = len({table.choices[name].config_hash for name in others}) == 1
    return others[0] if same else ""


def _finished(suite: Suite, table: Table) -> list[str]:
    """Returns the pre-trainings that a table has with all seeds of its suite; if there is none, those that it has."""
    seeds = {row.method: row.held_out.seeds for row in table.rows}
    there = {name: seeds[method] for name in suite.strategy_names if (method := _selecting(table, name))}
    return [name for name, number in there.items() if number >= len(suite.seed_list)] or list(there)


def _setting(run: RunSpec) -> dict[str, object]:
    return {binding.key: ast.literal_eval(binding.value) for binding in run.setting}


def _inherited(suite: Suite) -> list[str]:
    """Returns the bindings of the results' suite that reach something in this one."""
    bindings = config.parse_bindings(suite.bindings)
    reaching = {b for pair in suite.pairs for b in config.concerning(*pair, suite.transfers, bindings)}
    return [str(binding) for binding in bindings if binding in reaching]


def models_of(planned: Plan) -> Plan:
    """Returns the pre-trainings alone of a suite, without the bindings that reach its trials."""
    own = [replace(run, bindings=tuple(filter(config.reaches_pretraining, run.bindings))) for run in planned.runs]
    return Plan(replace(planned.suite, full=True), tuple(map(Task, own)))


def model_cache(name: str) -> Path:
    """Returns the folder that keeps the pre-trained models of published results."""
    return default_cache().parent / "models" / name


def drop_stale(models: Plan, cache: Path, reference: Reference) -> None:
    """Deletes kept models of another configuration, of other images than the results', and those that lost a file."""
    data = {scenario: _data_of(reference.folder / scenario) for scenario in models.suite.scenarios}
    for task in models.tasks:
        folder = cache / task.folder
        held = description_of(folder / contract.EVENT_FILE)
        if held is None:
            continue
        lost = status_of(folder / contract.EVENT_FILE) == contract.FINISHED and not (folder / CHECKPOINT).is_file()
        others = data[task.run.scenario] not in ("", held.data)
        if lost or others or identity_of(task.run).difference(held):
            shutil.rmtree(folder)


def _data_of(folder: Path) -> str:
    """Returns the digest of the images of a scenario's records; empty where these were written before there was one."""
    first = next(iter(sorted(folder.rglob(contract.EVENT_FILE))), None)
    held = description_of(first) if first else None
    return held.data if held else ""


def lend(models: Plan, cache: Path, out: Path) -> None:
    """Copies kept models to where a suite looks for them, so that it pre-trains nothing."""
    for task in models.tasks:
        for name in (CHECKPOINT, contract.EVENT_FILE):  # the record is last: it says that the model is there
            target = out / task.folder / name
            if not target.exists():
                write_atomically(target, (cache / task.folder / name).read_bytes())

"""The `zapbench` command. Its help, and everything about logs, needs neither torch nor Avalanche."""

import argparse
import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from zapbench import __version__

if TYPE_CHECKING:
    from zapbench.leaderboard.load import Logs
    from zapbench.leaderboard.mapping import LogMapping
    from zapbench.leaderboard.tables import Table
    from zapbench.suite import Suite

EXAMPLES = """examples:
  zapbench list
  zapbench run glyphs asb_zap
  zapbench run omniglot_small asb_zap --transfer sequential -p 'ASB.inner_lr = 0.03' --seed 1
  zapbench transfer mine.pt --scenario omniglot_small --name mine
  zapbench suite demo
  zapbench leaderboard runs --format md
"""

WIDE = 200
"""Columns where the output is not a terminal: nothing is left out for width."""

MOST_LINES = 50
"""Problems of a submission that are printed."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command and returns its exit status: 0 well, 1 a task failed, 2 a mistake in what was asked."""
    options = _parser().parse_args(arguments)
    try:
        status: int = options.command(options)
    except ValueError as error:
        print(f"zapbench: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    except OSError as error:
        name = f" ({error.filename})" if error.filename else ""
        print(f"zapbench: {error.strerror or error}{name}; everything finished is kept", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("zapbench: stopped; the same command goes on from here", file=sys.stderr)
        return 130
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="zapbench",
        description="Does a pre-trained model learn new classes, from few images, without forgetting?",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"zapbench {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    from zapbench.data import add_data  # which imports little before it is asked to do something

    _add_run(commands)
    _add_transfer(commands)
    _add_suite(commands)
    _add_new(commands)
    _add_check(commands)
    _add_list(commands)
    add_data(commands)
    _add_leaderboard(commands)
    _add_submit(commands)
    _add_show(commands)
    _add_repeat(commands)
    return parser


def _command(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]",
    name: str,
    what: str,
    example: str,
) -> argparse.ArgumentParser:
    return commands.add_parser(
        name,
        help=what,
        description=what,
        epilog=f"example:\n  {example}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def _add_run(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    example = "zapbench run omniglot_small asb_zap --transfer sequential -p 'ASB.inner_lr = 0.03' --seed 1"
    command = _command(commands, "run", "pre-train one model and transfer it, at every rate", example)
    command.add_argument("scenario", metavar="SCENARIO", help="a name of `zapbench list`, or a .gin file")
    command.add_argument("strategy", metavar="STRATEGY", help="a name of `zapbench list`, or a .gin file")
    command.add_argument("--name", default="", help="the row's name (default: the strategy, with what -p changes)")
    _add_trials(command)
    _add_shared(command)
    command.set_defaults(command=_run, weights="")


def _add_transfer(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    example = "zapbench transfer mine.pt --scenario omniglot_small -p 'convnet.filters = 64' --name mine --seed 0"
    command = _command(commands, "transfer", "transfer a model that was pre-trained elsewhere", example)
    command.add_argument("weights", metavar="WEIGHTS", help="a state dict that torch.save wrote, of model or encoder")
    command.add_argument("--scenario", required=True, help="a name of `zapbench list`, or a .gin file")
    command.add_argument("--name", default="", help="the row's name (default: the file's); give each seed the same")
    _add_trials(command)
    _add_shared(command)
    command.set_defaults(command=_transfer, strategy="pretrained")


def _add_trials(command: argparse.ArgumentParser) -> None:
    command.add_argument("--transfer", nargs="+", default=["sequential"], metavar="NAME", help="default: sequential")
    command.add_argument("--seed", type=int, default=0, help="pre-training seed (default: 0)")
    command.add_argument("--trials", type=int, default=5, help="reported trials (default: 5)")
    command.add_argument("--select-trials", type=int, default=3, help="trials to choose a rate on (default: 3)")
    command.add_argument("--rates", type=float, nargs="+", metavar="RATE", help="transfer learning rates")


def _add_suite(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    command = _command(commands, "suite", "run a grid of runs and print its table", "zapbench suite demo --jobs 2")
    command.add_argument("suite", metavar="NAME", help="a name of `zapbench list`, or a .gin file")
    command.add_argument("--jobs", type=int, help="processes side by side (default: one a core)")
    _add_shared(command)
    command.set_defaults(command=_suite)


def _add_shared(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "-p",
        dest="bindings",
        action="append",
        default=[],
        metavar="BINDING",
        help="a gin binding, say 'ASB.inner_lr = 0.03'; may be given often",
    )
    command.add_argument("--out", type=Path, default=Path("runs"), help="output folder (default: runs)")
    command.add_argument("--threads", type=int, default=1, help="threads a process (default: 1)")


def _add_new(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    example = "zapbench new strategy my_idea && cd my_idea && zapbench run glyphs my_idea.gin"
    command = _command(commands, "new", "write a small working package for a strategy of your own", example)
    command.add_argument("kind", choices=["strategy"])
    command.add_argument("name", metavar="NAME", help="the package's name, in lower case")
    command.add_argument("--in", dest="folder", type=Path, default=Path(), help="where its folder goes (default: here)")
    command.set_defaults(command=_new)


def _add_check(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    example = "zapbench check mine.gin"
    command = _command(commands, "check", "try a strategy's contract on a small scenario, in under a minute", example)
    command.add_argument("strategy", metavar="STRATEGY", help="a name of `zapbench list`, or a .gin file")
    command.set_defaults(command=_check)


def _add_list(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    command = _command(commands, "list", "list scenarios, strategies, transfers and suites", "zapbench list")
    command.set_defaults(command=_list)


def _add_leaderboard(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    example = "zapbench leaderboard runs --format md"
    command = _command(commands, "leaderboard", "turn a folder of TensorBoard logs into ranked tables", example)
    command.add_argument("logdir", type=Path, metavar="LOGDIR", nargs="?")
    command.add_argument("--format", choices=["table", "md", "latex", "csv", "json"], default="table")
    command.add_argument(
        "--select",
        choices=["select", "paper"],
        default="select",
        help="choose rates on selection trials (default), or on the reported ones as the paper did",
    )
    command.add_argument(
        "--mapping", type=Path, metavar="FILE.gin", help="how to read logs that zapbench did not write"
    )
    command.add_argument(
        "--diagram", type=Path, metavar="FILE", help="draw the critical-difference diagram (five data sets or more)"
    )
    command.add_argument("--figures", type=Path, metavar="DIR", help="draw trajectories and bars of every table")
    command.add_argument(
        "--figure-format", nargs="+", choices=["svg", "png", "pdf"], default=["svg"], help="default: svg"
    )
    command.add_argument("--site", type=Path, metavar="DIR", help="write the tables as a static page")
    command.add_argument(
        "--check",
        type=Path,
        metavar="NAME.zip",
        help="say whether a submission can be ranked (beside LOGDIR, if given)",
    )
    command.add_argument("--no-cache", action="store_true", help="read every file anew, and keep nothing")
    command.set_defaults(command=_leaderboard)


def _add_submit(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    example = "zapbench submit runs --out mine.zip"
    command = _command(
        commands, "submit", "pack the event files of a folder, and check that they can be ranked", example
    )
    command.add_argument("logdir", type=Path, metavar="LOGDIR")
    command.add_argument("--out", type=Path, required=True, metavar="NAME.zip")
    command.set_defaults(command=_submit)


def _add_show(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    example = "zapbench show runs/glyphs/asb_zap/default/seed=0"
    command = _command(commands, "show", "show a run or a trial: what it is, its curves, the command for it", example)
    command.add_argument("folder", type=Path, metavar="RUN", help="the folder of a run or of a trial")
    command.set_defaults(command=_show)


def _add_repeat(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    example = "zapbench repeat runs/glyphs/asb_zap/default/seed=0/sequential/lr=0.001/report=0"
    command = _command(commands, "repeat", "run a run or a trial again and say whether the result is the same", example)
    command.add_argument("folder", type=Path, metavar="RUN", help="the folder of a run or of a trial")
    command.add_argument("--threads", type=int, default=0, help="threads (default: as many as the record had)")
    command.set_defaults(command=_repeat)


def _transfer(options: argparse.Namespace) -> int:
    options.name = options.name or Path(options.weights).stem
    return _run(options)


def _run(options: argparse.Namespace) -> int:
    from zapbench.suite import RATES, Suite

    if options.seed < 0:
        raise ValueError(f"--seed must be at least 0, got {options.seed}")
    suite = Suite(
        scenarios=(options.scenario,),
        strategies=(options.strategy,),
        transfers=tuple(options.transfer),
        seeds=(options.seed,),
        trials=options.trials,
        select_trials=options.select_trials,
        rates=tuple(options.rates or RATES),
        bindings=tuple(options.bindings),
        full=True,
        name=options.name,
        weights=options.weights,
    )
    return _launch(suite, options, workers=1, in_process=True)


def _suite(options: argparse.Namespace) -> int:
    from zapbench.suite import load_suite

    suite = load_suite(options.suite, options.bindings)
    return _launch(suite, options, workers=options.jobs or _cores(), in_process=False)


def _launch(suite: "Suite", options: argparse.Namespace, *, workers: int, in_process: bool) -> int:
    from rich.console import Console

    from zapbench.launch import run_suite

    if workers < 1:
        raise ValueError(f"--jobs must be at least 1, got {workers}")
    if options.threads < 1:
        raise ValueError(f"--threads must be at least 1, got {options.threads}")
    console = Console(stderr=True)
    command = shlex.join(["zapbench", *sys.argv[1:]])
    summary = run_suite(
        suite,
        options.out,
        workers=workers,
        threads=options.threads,
        command=command,
        console=console,
        in_process=in_process,
    )
    before = f", {summary.done_before} of them done before" if summary.done_before else ""
    console.print(f"{summary.tasks} tasks{before}", highlight=False)
    outcome = summary.outcome
    for folder, reason in outcome.failed.items():
        print(f"zapbench: {folder} failed: {reason}", file=sys.stderr)
    if outcome.fatal:
        print(f"zapbench: {outcome.fatal}; everything finished is kept", file=sys.stderr)
        return 1
    if outcome.stopped:
        raise KeyboardInterrupt
    _print_tables(options.out, "table", "select")
    return 1 if outcome.failed else 0


def _new(options: argparse.Namespace) -> int:
    from zapbench.new import new_strategy

    files = new_strategy(options.name, options.folder)
    print(*(f"  {path}" for path in files), sep="\n")
    print(f"try it:  cd {files[0].parent} && zapbench check {files[0].name} && zapbench run glyphs {files[0].name}")
    return 0


def _check(options: argparse.Namespace) -> int:
    from rich.console import Console
    from rich.text import Text

    from zapbench import config
    from zapbench.workers import prepare_process

    config.find("strategies", options.strategy)
    console = Console()
    with console.status(f"checking {options.strategy}"):
        prepare_process(1)
        from zapbench.check import check_strategy

        failed = 0
        for finding in check_strategy(options.strategy):
            failed += not finding.holds
            word, style = ("ok", "green") if finding.holds else ("FAILS", "bold red")
            line = Text.assemble((f"  {word:6}", style), finding.clause, f": {finding.words}" if finding.words else "")
            console.print(line, soft_wrap=True)
    console.print(Text(f"{options.strategy}: {'the contract holds' if not failed else f'{failed} of it fails'}"))
    return 1 if failed else 0


def _list(options: argparse.Namespace) -> int:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from zapbench import config

    console = Console()
    for kind in config.KINDS:
        grid = Table(title=Text(kind), title_justify="left", title_style="bold", box=None, show_header=False)
        grid.add_column(no_wrap=True)
        grid.add_column()
        for name in config.names(kind):
            grid.add_row(Text(f"  {name}"), Text(config.summary(kind, name)))
        console.print(grid)
        console.print()
    return 0


def _leaderboard(options: argparse.Namespace) -> int:
    from zapbench.leaderboard.mapping import read_mapping

    if options.check is not None:
        return _check_submission(options.check, options.logdir)
    if options.logdir is None:
        raise ValueError("leaderboard takes LOGDIR, a folder of logs (or --check NAME.zip)")
    mapping = read_mapping(options.mapping) if options.mapping else None
    made, logs = _print_tables(
        options.logdir, options.format, options.select, mapping=mapping, keep=not options.no_cache
    )
    if options.figures is not None:
        from zapbench.leaderboard.figures import write_figures

        write_figures(made, logs, options.figures, options.figure_format)
    if options.site is not None:
        from zapbench.leaderboard.page import write_site

        write_site(made, logs, options.logdir, options.site)
    if options.diagram is not None:
        from zapbench.leaderboard.diagram import draw
        from zapbench.leaderboard.overview import overviews

        found = overviews(made)
        if len(found) != 1:
            raise ValueError(f"--diagram takes logs of one protocol on several data sets, got {len(found)} of them")
        draw(found[0], options.diagram)
    return 0


def _submit(options: argparse.Namespace) -> int:
    from zapbench.leaderboard.archives import pack

    packed = pack(options.logdir, options.out)
    print(f"{options.out}: {packed} event files, {options.out.stat().st_size:,} bytes")
    return _check_submission(options.out, None)


def _check_submission(path: Path, beside: Path | None) -> int:
    from zapbench.leaderboard.load import load
    from zapbench.leaderboard.submissions import check

    verdict = check(path, load(beside, workers=_cores()) if beside is not None else None)
    for problem in verdict.problems[:MOST_LINES]:
        print(f"  {problem}")
    if len(verdict.problems) > MOST_LINES:
        print(f"  and {len(verdict.problems) - MOST_LINES} more")
    print(f"{path} {verdict.sentence}")
    return 1 if verdict.problems else 0


def _print_tables(
    folder: Path, form: str, by: str, *, mapping: "LogMapping | None" = None, keep: bool = True
) -> "tuple[list[Table], Logs]":
    import platformdirs
    from rich.console import Console
    from rich.progress import Progress

    from zapbench.leaderboard import render
    from zapbench.leaderboard.load import load
    from zapbench.leaderboard.tables import tables

    cache = Path(platformdirs.user_cache_dir("zapbench", appauthor=False)) / "logs" if keep else None
    errors = Console(stderr=True)
    with Progress(console=errors, transient=True, disable=not errors.is_terminal) as progress:
        task = progress.add_task("reading logs", total=None)
        logs = load(
            folder,
            mapping=mapping,
            cache=cache,
            progress=lambda done, total: progress.update(task, completed=done, total=total),
            workers=_cores(),
        )
    made = tables(logs, by=by)
    if form == "table":
        console = Console()
        render.to_terminal(made, console if console.is_terminal else Console(width=WIDE))
    else:
        renderers = {
            "md": lambda: render.to_markdown(made, logs.problems),
            "latex": lambda: render.to_latex(made),
            "csv": lambda: render.to_csv(made),
            "json": lambda: render.to_json(made, logs.problems),
        }
        sys.stdout.write(renderers[form]())
    for problem in logs.problems:
        print(f"left out: {problem}", file=sys.stderr)
    return made, logs


def _show(options: argparse.Namespace) -> int:
    from rich.console import Console
    from rich.text import Text

    from zapbench.repeat import command_of, read_task, sparkline

    found, about = read_task(options.folder)
    console = Console()
    reason = f" ({found.closing.reason})" if found.closing.reason else ""
    console.print(Text(f"{about.method} on {about.scenario}: {found.closing.status}{reason}", style="bold"))
    hidden = ("fingerprint_fields", "scenario", "method")
    for name, value in vars(about).items():
        if name not in hidden and value not in (None, "", {}, ()):
            console.print(Text(f"  {name:16} {_plain(value)}"))
    console.print()
    for tag, (steps, values) in found.curves.items():
        shown = f"{sparkline(values)}  {values[0]:.4g} to {values[-1]:.4g}" if len(values) > 1 else f"{values[-1]:.6g}"
        console.print(Text(f"  {tag:29} {shown} (step {steps[-1]})"))
    console.print(Text(f"\nRun it anew:  {command_of(about)} --out ELSEWHERE"), soft_wrap=True)
    return 0


def _plain(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {item}" for key, item in value.items())
    return "; ".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _repeat(options: argparse.Namespace) -> int:
    from rich.console import Console
    from rich.text import Text

    from zapbench.repeat import repeat

    if options.threads < 0:
        raise ValueError(f"--threads must be at least 0, got {options.threads}")
    console = Console()
    with console.status(f"repeating {options.folder}"):
        compared = repeat(options.folder, options.threads)
    for field in compared:
        if not field.same:
            console.print(Text(f"  differs  {field.name}: {field.before} before, {field.after} now", style="red"))
    different = sum(not field.same for field in compared)
    verdict = "the same" if not different else f"{different} of {len(compared)} fields differ"
    console.print(Text(f"{options.folder}: {verdict} ({len(compared)} fields compared)"))
    return 1 if different else 0


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


if __name__ == "__main__":
    sys.exit(main())

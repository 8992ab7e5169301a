"""`zapbench claims`: holds the paper's claims against folders of logs."""

import argparse
import sys
from pathlib import Path

from zapbench.cli.arguments import add_command
from zapbench.cli.tables import read_logs


def add_claims(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds the command."""
    command = add_command(
        commands, "claims", "hold the paper's claims against folders of logs", "zapbench claims runs --format md"
    )
    command.add_argument(
        "logdirs",
        type=Path,
        metavar="LOGDIR",
        nargs="+",
        help="folders of TensorBoard logs; a task that several record counts in the first, and a method belongs to the "
        "first folder that has it",
    )
    command.add_argument("--claims", type=Path, metavar="FILE.toml", help="claims of your own (default: the paper's)")
    command.add_argument("--format", choices=["table", "md", "json"], default="table", help="default: table")
    command.add_argument("--no-cache", action="store_true", help="read every file again, and do not write the cache")
    command.set_defaults(command=_claims)


def _claims(options: argparse.Namespace) -> int:
    from zapbench import config
    from zapbench.cli.consoles import output
    from zapbench.leaderboard.claims.judge import judge, scenarios
    from zapbench.leaderboard.claims.schema import SHIPPED, read_claims
    from zapbench.leaderboard.decide.tables import tables
    from zapbench.leaderboard.show.claims import to_json, to_markdown, to_terminal

    methods, known = config.names("strategies"), config.names("scenarios")
    claims = read_claims(options.claims or SHIPPED, methods=methods, scenarios=known)
    logs = read_logs(options.logdirs, keep=not options.no_cache)
    ranked = tables(logs)
    findings = judge(claims, logs, ranked)
    if all(finding.table is None for finding in findings):
        titles = (table.title + ("" if table.rows else " (no reported trial)") for table in ranked)
        there = ", ".join(dict.fromkeys(titles)) or "nothing that can be ranked"
        about = ", ".join(dict.fromkeys(name for claim in claims for name in scenarios(claim.setup)))
        raise ValueError(f"no claim can be held against these logs: they hold {there}; claims are about {about}")
    if options.format == "table":
        to_terminal(findings, output())
    else:
        sys.stdout.write(to_markdown(findings) if options.format == "md" else to_json(findings))
    for problem in logs.problems:
        print(f"excluded: {problem}", file=sys.stderr)
    return 0

"""The `zapbench` command and its parser."""

import argparse
import signal
import sys
import threading
from collections.abc import Sequence
from typing import Any

from zapbench import __version__, extras
from zapbench.cli.arguments import Parser
from zapbench.cli.audit import add_audit
from zapbench.cli.check import add_check
from zapbench.cli.claims import add_claims
from zapbench.cli.compare import add_compare
from zapbench.cli.completion import add_completion
from zapbench.cli.data import add_data
from zapbench.cli.doctor import add_doctor
from zapbench.cli.leaderboard import add_leaderboard
from zapbench.cli.list import add_list
from zapbench.cli.new import add_new
from zapbench.cli.repeat import add_repeat
from zapbench.cli.resilience import add_resilience
from zapbench.cli.run import add_run, add_transfer
from zapbench.cli.show import add_show
from zapbench.cli.submit import add_submit
from zapbench.cli.suite import add_suite

COMMANDS = (
    add_run,
    add_transfer,
    add_suite,
    add_compare,
    add_new,
    add_check,
    add_list,
    add_data,
    add_leaderboard,
    add_claims,
    add_submit,
    add_audit,
    add_show,
    add_repeat,
    add_resilience,
    add_doctor,
    add_completion,
)
"""Functions that each add a command to the parser, in the order of the help."""

EXAMPLES = """examples:
  zapbench doctor
  zapbench list
  zapbench run glyphs asb_zap
  zapbench run omniglot_small asb_zap --transfer sequential -p 'ASB.inner_lr = 0.03' --seed 1
  zapbench transfer mine.pt --scenario omniglot_small --name mine
  zapbench suite demo
  zapbench leaderboard runs --format md
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; returns its exit status: 0 success, 1 a task failed, 2 wrong command, 130 stopped by Ctrl-C."""
    options = _parser().parse_args(arguments)
    _end_cleanly_on_sigterm()
    try:
        status: int = options.command(options)
    except ValueError as error:
        print(f"zapbench: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    except ModuleNotFoundError as error:
        if not (advice := extras.advice(error)):
            raise
        print(f"zapbench: {advice}", file=sys.stderr)
        return 2
    except MemoryError:
        print("zapbench: there is not enough memory for this; all finished tasks are kept", file=sys.stderr)
        return 1
    except OSError as error:
        name = f" ({error.filename})" if error.filename else ""
        print(f"zapbench: {error.strerror or error}{name}; all finished tasks are kept", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("zapbench: stopped; run the same command again to resume", file=sys.stderr)
        return 130
    return status


def _end_cleanly_on_sigterm() -> None:
    """Lets SIGTERM end the process as an exception does, so that temporary folders are removed."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="zapbench",
        description="Does a pre-trained model learn new classes, from few images, without forgetting?",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"zapbench {__version__}")
    commands: argparse._SubParsersAction[Any] = parser.add_subparsers(required=True, metavar="COMMAND")
    for add in COMMANDS:
        add(commands)
    parser.set_defaults(parser=parser)
    return parser


if __name__ == "__main__":
    sys.exit(main())

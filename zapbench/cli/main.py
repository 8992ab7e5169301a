"""The `zapbench` command. Its help, and everything about logs, needs neither torch nor Avalanche."""

import argparse
import sys
from collections.abc import Sequence

from zapbench import __version__
from zapbench.cli.data import add_data
from zapbench.cli.doctor import add_doctor
from zapbench.cli.logs import add_logs
from zapbench.cli.training import add_training

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
    add_training(commands)
    add_data(commands)
    add_logs(commands)
    add_doctor(commands)
    return parser


if __name__ == "__main__":
    sys.exit(main())

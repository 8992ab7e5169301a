"""`python -m zapbench` is the `zapbench` command."""

import sys

from zapbench.cli.main import main

if __name__ == "__main__":
    sys.exit(main())

from zapbench.cli.main import main

__all__ = ["main"]

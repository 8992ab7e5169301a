"""Who made the rows of a leaderboard, as their `submission.toml` says, for the page."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from zapbench.leaderboard.read.identity import Identity
from zapbench.leaderboard.read.tabulate import Logs
from zapbench.text import some_of


def makers_of(logs: Logs, identities: Mapping[str, Identity]) -> dict[tuple[str, str], list[Identity]]:
    """Returns (fingerprint, method) -> who made its trials, in the order of their files; absent where nobody is stated.

    Args:
        logs: the logs.
        identities: event file -> who made it.
    """
    found: dict[tuple[str, str], dict[Identity, None]] = {}
    for fingerprint, method, file in zip(*(logs.trials[name] for name in ("fingerprint", "method", "file"))):
        if file in identities:
            found.setdefault((fingerprint, method), {})[identities[file]] = None
    return {row: list(own) for row, own in found.items()}


def makers_data(makers: Mapping[tuple[str, str], Sequence[Identity]]) -> list[dict[str, Any]]:
    """Returns each submission with the methods that it makes, newest first."""
    methods: dict[Identity, set[str]] = {}
    for (_, method), own in makers.items():
        for maker in own:
            methods.setdefault(maker, set()).add(method)
    newest_first = sorted(methods, key=lambda maker: (maker.date, maker.authors), reverse=True)
    return [maker_data(maker) | {"methods": some_of(sorted(methods[maker]), 20)} for maker in newest_first]


def maker_data(maker: Identity) -> dict[str, Any]:
    """Returns what the page shows of a submission."""
    return asdict(maker) | {
        "authors": ", ".join(maker.authors),
        "contact_is_link": maker.contact.startswith("https://"),
        "methods": "",
    }

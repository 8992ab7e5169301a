"""Who made the rows of a leaderboard, as their `submission.toml` says, for the page."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from zapbench.leaderboard.read.identity import Identity
from zapbench.leaderboard.read.tabulate import Logs
from zapbench.text import some_of


def makers_of(logs: Logs, identities: Mapping[str, Identity]) -> dict[str, list[Identity]]:
    """Returns method -> who made its trials, in the order of their files; methods of which nobody is stated are absent.

    Args:
        logs: the logs.
        identities: event file -> who made it.
    """
    found: dict[str, dict[Identity, None]] = {}
    for method, file in zip(logs.trials["method"], logs.trials["file"]):
        if file in identities:
            found.setdefault(method, {})[identities[file]] = None
    return {method: list(own) for method, own in found.items()}


def makers_data(makers: Mapping[str, Sequence[Identity]]) -> list[dict[str, Any]]:
    """Returns each submission with the methods that it makes, newest first."""
    methods: dict[Identity, list[str]] = {}
    for method, own in makers.items():
        for maker in own:
            methods.setdefault(maker, []).append(method)
    newest_first = sorted(methods, key=lambda maker: (maker.date, maker.authors), reverse=True)
    return [maker_data(maker) | {"methods": some_of(sorted(methods[maker]), 20)} for maker in newest_first]


def maker_data(maker: Identity) -> dict[str, Any]:
    """Returns what the page shows of a submission."""
    return asdict(maker) | {
        "authors": ", ".join(maker.authors),
        "contact_is_link": maker.contact.startswith("https://"),
        "methods": "",
    }

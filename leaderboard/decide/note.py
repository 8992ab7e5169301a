"""A line below a table, and what it says of each method that it names."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Note:
    """What a reader of a table must know.

    Attributes:
        text: the line; of a note that names methods what they have in common.
        methods: method -> what is particular to it, or nothing; empty where the note is about the table.

    >>> Note("diverged", {"asb": "seed 2", "iid": ""}).line
    'diverged: asb (seed 2), iid'
    """

    text: str
    methods: Mapping[str, str] = field(default_factory=dict)

    @property
    def line(self) -> str:
        """The whole line: one for all methods of a kind, not one for each."""
        named = [f"{name} ({detail})" if detail else name for name, detail in self.methods.items()]
        return f"{self.text}: {', '.join(named)}" if named else self.text

    def of(self, method: str) -> str:
        """Returns what it says of one method; nothing where it does not name it.

        >>> Note("diverged", {"asb": "seed 2", "iid": ""}).of("asb")
        'diverged: seed 2'
        """
        if method not in self.methods:
            return ""
        detail = self.methods[method]
        return f"{self.text}: {detail}" if detail else self.text


def listed(text: str, methods: Mapping[str, str]) -> list[Note]:
    """Returns the note of a kind; none where it names no method."""
    return [Note(text, dict(methods))] if methods else []

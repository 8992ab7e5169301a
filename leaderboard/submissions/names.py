"""Names that look like another name, or like nothing: a row that readers take for somebody else's."""

import re
import unicodedata
from collections.abc import Iterable, Iterator

from zapbench.text import is_invisible

_ALIKE = str.maketrans({"0": "o", "1": "l", "i": "l", "|": "l", "5": "s"})


def on_names(own: Iterable[str], others: Iterable[str] = ()) -> Iterator[str]:
    """Says which names hold what cannot be seen, mix scripts, or read like another name.

    Args:
        own: the names in a submission.
        others: the names beside it.
    """
    own = sorted(set(own))
    known: dict[str, str] = {}
    for name in others:
        known.setdefault(skeleton(name), name)
    for name in own:
        yield from _on_letters(name)
        other = known.setdefault(skeleton(name), name)
        if other != name:
            yield f"{name}: its name reads like {other}"


def _on_letters(name: str) -> Iterator[str]:
    hidden = sorted(set(filter(is_invisible, name)))
    if hidden:
        codes = ", ".join(f"U+{ord(letter):04X}" for letter in hidden)
        yield f"{name}: its name holds characters that cannot be seen ({codes})"
    elif unicodedata.normalize("NFKC", name) != name:
        yield f"{name}: its name is written in compatibility characters; its plain form is {plain(name)}"
    scripts = sorted({script(letter) for letter in name if letter.isalpha()})
    if len(scripts) > 1:
        yield f"{name}: its name mixes letters of {' and '.join(scripts)}"
    elif scripts in (["Cyrillic"], ["Greek"]):
        yield f"{name}: its name is of {scripts[0]} letters, which read like Latin ones"


def script(letter: str) -> str:
    """Returns the script of a letter, by its Unicode name.

    >>> script("a"), script("а")
    ('Latin', 'Cyrillic')
    """
    return unicodedata.name(letter, "unknown").split()[0].capitalize()


def plain(name: str) -> str:
    """Returns a name in its normal form, without accents and what cannot be seen."""
    seen = "".join(letter for letter in name if not is_invisible(letter))
    return "".join(c for c in unicodedata.normalize("NFKD", seen) if unicodedata.category(c) not in ("Mn", "Me"))


def skeleton(name: str) -> str:
    """Returns what two names share that read alike.

    >>> skeleton("ASB_Zap") == skeleton("asb-zap") == skeleton("a5b zap")
    True
    """
    return re.sub(r"[\s_\-]+", "", plain(name).casefold().translate(_ALIKE))

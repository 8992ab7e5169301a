"""Lists of classes: those that papers published, and the check of a data set's classes against them."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

LISTS = Path(__file__).parent / "lists"


def class_list(name: str) -> tuple[str, ...]:
    """Returns a published list by the name of its file: words of a text file, or a JSON list."""
    text = (LISTS / name).read_text(encoding="utf-8")
    return tuple(json.loads(text) if name.endswith(".json") else text.split())


def lines_of(path: Path) -> list[str]:
    """Returns the lines of a person's text file, stripped, without empty ones; a byte-order mark is skipped.

    Raises:
        ValueError: the file is not UTF-8; names it.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not a text file in UTF-8 ({error.reason} at byte {error.start})") from None
    return [line.strip() for line in text.splitlines() if line.strip()]


def check_classes(name: str, found: Sequence[str], published: Sequence[str]) -> None:
    """Refuses classes other than the published ones.

    Raises:
        ValueError: names the first unknown or missing class.
    """
    unknown, lost = sorted(set(found) - set(published)), sorted(set(published) - set(found))
    if unknown:
        raise ValueError(
            f"{name}: {unknown[0]!r} is not one of the {len(published)} published classes ({len(unknown)} unknown)"
        )
    if lost:
        raise ValueError(f"{name}: class {lost[0]!r} is missing ({len(lost)} of {len(published)} are)")


def check_counts(name: str, counts: Mapping[str, int]) -> None:
    """Refuses classes that have different numbers of images, as an interrupted copy leaves them.

    Args:
        name: of the data, for the error.
        counts: class -> its number of images.

    Raises:
        ValueError: names the first class that has another number than most.
    """
    usual, _ = Counter(counts.values()).most_common(1)[0]
    others = [found for found in sorted(counts) if counts[found] != usual]
    if others:
        raise ValueError(
            f"{name}: class {others[0]!r} has {counts[others[0]]:,} images and not {usual:,} ({len(others)} such "
            "classes): the data are incomplete"
        )

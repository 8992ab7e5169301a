"""Logs from elsewhere: a mapping says which tag is the score, and what gives a run's method and seed.

# mine.gin
LogMapping.pattern = "{scenario}/{method}/seed{pretrain_seed}"
LogMapping.score = "Top1_Acc_Stream/eval_phase/test_stream/Task000"

zapbench leaderboard LOGDIR --mapping mine.gin
"""

import hashlib
import math
import re
import tokenize
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

import gin

from zapbench.leaderboard import contract

NAMES = ("scenario", "method", "pretrain_seed", "transfer_seed", "rate", "role")
"""What a path or a run's hyper-parameters can give."""
KINDS: Mapping[str, tuple[type, ...]] = {
    **dict.fromkeys(("pattern", "score", "file", "trained_on", "forgetting", "scenario", "protocol"), (str,)),
    **dict.fromkeys(("percent", "lower_is_better"), (bool,)),
    "scale": (int, float),
    "step": (int, type(None)),
    "outputs": (int,),
}
"""Types of the parameters."""
IN_WORDS = {str: "a text", bool: "True or False", float: "a number", int: "a whole number", type(None): "None"}


@gin.register
@dataclass(frozen=True, kw_only=True)
class LogMapping:
    """How logs that zapbench did not write are to be read.

    Attributes:
        pattern: the folder of a run below the logs, with names in braces for what it gives: scenario, method,
            pretrain_seed, transfer_seed, rate, role (`report` or `select`). A name, or `*`, stands for anything but a
            slash, `**` for any folders.
        score: the tag whose value is the score; a `*` in a tag stands for anything, if one tag of a run fits.
        keys: name (as in the pattern) -> the key of the hyper-parameter that gives it: `optimizer.lr` is `lr` within
            `optimizer`.
        file: a JSON or YAML file that holds the hyper-parameters, such as `hparams.yaml`, in the folder of a run or the
            nearest above it. Empty for those of TensorBoard's HParams plug-in.
        trained_on: the tag of accuracy on the images trained on, where there is one.
        forgetting: the tag of forgetting, where there is one.
        percent: whether the values of these tags are percentages, that is, `scale` is 100.
        scale: the value of these tags that counts as 1.
        lower_is_better: whether the score is a loss or an error: it counts as 1 - value / scale.
        step: the step to take the score at; None for the last.
        scenario: the scenario where the logs give none.
        protocol: what the tables are headed with.
        outputs: outputs of the head, for the chance line; 0 where it is not known.
    """

    pattern: str
    score: str
    keys: Mapping[str, str] = field(default_factory=dict)
    file: str = ""
    trained_on: str = ""
    forgetting: str = ""
    percent: bool = False
    scale: float = 1.0
    lower_is_better: bool = False
    step: int | None = None
    scenario: str = "logs"
    protocol: str = "mapped"
    outputs: int = 0

    def __post_init__(self) -> None:
        """Checks the names before any file is read."""
        for name, kind in KINDS.items():
            value = getattr(self, name)
            if type(value) not in kind:
                allowed = " or ".join(IN_WORDS[one] for one in kind)
                raise ValueError(f"mapping: {name} is {value!r}; allowed: {allowed}")
        if not isinstance(self.keys, Mapping) or not all(isinstance(key, str) and key for key in self.keys.values()):
            raise ValueError("mapping: keys must be names and keys, such as {'pretrain_seed': 'seed'}")
        in_pattern = re.findall(r"\{(\w*)\}", self.pattern)
        for where, named in (("the pattern", in_pattern), ("keys", [*self.keys])):
            if unknown := [name for name in named if name not in NAMES]:
                raise ValueError(f"mapping: {{{unknown[0]}}} in {where}; allowed: {', '.join(NAMES)}")
        named = [*in_pattern, *self.keys]
        if twice := [name for name in named if named.count(name) > 1]:
            raise ValueError(f"mapping: {twice[0]} stands twice in the pattern and keys")
        for needed in ("method", "pretrain_seed"):
            if needed not in named:
                raise ValueError(
                    f"mapping: the pattern must have {{{needed}}}, or keys {needed!r}, got {self.pattern!r}"
                )
        if self.file and (not self.keys or "/" in self.file or "\\" in self.file):
            raise ValueError(f"mapping: file is {self.file!r}; allowed: a name without a folder, together with keys")
        if not 0 < self.scale < math.inf or (self.percent and self.scale != 1):
            raise ValueError(f"mapping: scale is {self.scale:g}; allowed: a number above 0, without percent")

    @property
    def tags(self) -> "Tags":
        """The tags that are read."""
        return Tags(tuple(tag for tag in (self.score, self.trained_on, self.forgetting) if tag))

    @property
    def full(self) -> float:
        """The value of a tag that counts as 1."""
        return 100.0 if self.percent else self.scale

    @property
    def meaning(self) -> str:
        """What the score of a table is, in words."""
        value = self.score if self.full == 1 else f"{self.score} / {self.full:g}"
        return f"1 - {value}" if self.lower_is_better else value

    @property
    def key(self) -> str:
        """A hash of the mapping: another one reads other things."""
        return hashlib.sha256(contract.canonical_json(asdict(self)).encode()).hexdigest()[:12]

    def match(self, folder: str) -> dict[str, str] | None:
        """Returns what a folder's path gives, or None where it is not of the pattern.

        >>> LogMapping(pattern="{method}/s{pretrain_seed}/*", score="x").match("er/s3/version_0")
        {'method': 'er', 'pretrain_seed': '3'}
        >>> LogMapping(pattern="**/{method}-{pretrain_seed}", score="x").match("2024/may/er-3")
        {'method': 'er', 'pretrain_seed': '3'}
        """
        found = re.fullmatch(_regex(self.pattern), folder)
        return found.groupdict() if found else None


_WILD = {"**/": "(?:[^/]+/)*", "**": ".*", "*": "[^/]+"}


def _regex(pattern: str) -> str:
    """Returns a pattern of folders as a regular expression with a group for each name in braces."""
    parts = re.split(r"(\{\w+\}|\*\*/|\*\*|\*)", pattern)
    return "".join(
        f"(?P<{part[1:-1]}>[^/]+)" if part.startswith("{") and place % 2 else _WILD.get(part, re.escape(part))
        for place, part in enumerate(parts)
    )


@dataclass(frozen=True)
class Tags:
    """The tags that a mapping names; a `*` in one stands for anything."""

    patterns: tuple[str, ...]

    def __contains__(self, tag: object) -> bool:
        """Says whether a tag is one of these."""
        return isinstance(tag, str) and any(fits(pattern, tag) for pattern in self.patterns)


def fits(pattern: str, tag: str) -> bool:
    """Says whether a tag is that of a pattern.

    >>> fits("test/*/acc", "test/0/acc"), fits("test", "test/acc")
    (True, False)
    """
    first, *between = pattern.split("*")
    if not between:
        return pattern == tag
    last = between.pop()
    place = len(first)
    for part in between:  # its first place leaves the most for what follows: no other one is tried, as a regex would
        found = tag.find(part, place)
        if found < 0:
            return False
        place = found + len(part)
    return tag.startswith(first) and tag.endswith(last) and len(tag) >= place + len(last)


def read_mapping(path: Path) -> LogMapping:
    """Reads a person's own mapping. A .gin file is code (it imports): never one that came with the logs.

    Raises:
        ValueError: no such file, or it binds no usable `LogMapping`.
    """
    if not path.is_file():
        raise ValueError(f"no file {path}")
    with gin.unlock_config():
        gin.clear_config()
        try:
            gin.parse_config(path.read_text(encoding="utf-8"))
            mapping: LogMapping = gin.get_configurable("LogMapping")()
        except tokenize.TokenError as error:
            raise ValueError(f"{path}: {error.args[0]}; is a bracket or a quotation mark missing?") from None
        except (ValueError, TypeError, SyntaxError, ImportError, AttributeError, RuntimeError) as error:
            raise ValueError(f"{path}: {str(error).strip().splitlines()[0]}") from None
        finally:
            gin.clear_config()
    return mapping

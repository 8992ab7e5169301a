"""Runs the fenced code blocks of a document, one after another, in one folder.

The language of a block determines what happens:

- `sh`: each line is run in this process (`zapbench` by its `main`). Only the commands in `try_words` are supported.
- `bash`: a script. It is written to a file, and its `zapbench` commands are parsed.
- `python`, `yaml` and so on: written to the file that the first line names (`# mine.gin`). Python without such a line
  is executed.
- `text`, `bibtex`: ignored.

The commands of a block after `<!-- parsed, not run: WHY -->` are parsed, and their configurations are composed by gin
(a suite by `--dry-run`); nothing is trained, downloaded or sent. All other commands run as written, at a small size:
the shipped scenarios are replaced by a few glyphs, there are two default rates and one trial per role, and suites run
in this process.
"""

import hashlib
import os
import re
import shlex
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from support.paths import ROOT
from zapbench import config
from zapbench.cli import suite as suite_command
from zapbench.cli.arguments import command_line
from zapbench.cli.main import _parser, main
from zapbench.config import registry
from zapbench.experiment.root import register_everything
from zapbench.launchers.local import InProcessLauncher
from zapbench.leaderboard.read import mapping  # noqa: F401 (it registers with gin, which is locked once a run is composed)
from zapbench.suites import costs, suite

DEMO = ROOT / "tests" / "support" / "logs" / "demo"
SHOWN = ("text", "bibtex")
FENCE = re.compile(
    r"^(?:<!-- parsed, not run: (?P<why>[^\n]+) -->\n)?^```(?P<language>\S*)\n(?P<text>.*?)^```$", re.M | re.S
)
NAMED = re.compile(r"(?:#!.*\n)?# ([\w./-]+\.\w+)\n")
SMALL = """
glyphs.name = "{name}"
glyphs.pretrain_images = 3
glyphs.validation_images = 1
glyphs.classes_per_trial = 4
glyphs.classes_per_selection_trial = 4
glyphs.images_trained_on = 2
glyphs.images_held_out = 1
convnet.filters = 4
K = 2
R = 8
ASB_EPISODES = 6
META_EPISODES = 6
IID_EPOCHS = 4
IID_BATCH = 32
IID_TRANSFER_BATCH = 8
ZAP_EVERY = 1
"""


@dataclass(frozen=True)
class Block:
    """A fenced block.

    Attributes:
        language: after the opening fence.
        text: between the fences.
        line: number of the line before the text.
        parsed: whether it is parsed and not run.
    """

    language: str
    text: str
    line: int
    parsed: bool


def blocks(document: Path) -> Iterator[Block]:
    text = document.read_text(encoding="utf-8")
    for match in FENCE.finditer(text):
        line = text.count("\n", 0, match.start("text"))
        yield Block(match["language"].strip("{}"), match["text"], line, match["why"] is not None)


def shrink(folder: Path, monkeypatch) -> None:
    """Replaces the shipped scenarios by small ones for the current test."""
    register_everything()
    shutil.copytree(config.root(), folder)
    glyphs = (folder / "scenarios" / "glyphs.gin").read_text(encoding="utf-8")
    for path in (folder / "scenarios").glob("*.gin"):
        path.write_text(glyphs + SMALL.format(name=path.stem), encoding="utf-8")
    monkeypatch.setattr(registry, "root", lambda: folder)
    monkeypatch.setattr(suite, "RATES", (0.001, 0.01))
    monkeypatch.setattr(
        suite_command, "launcher_for", lambda _, options: InProcessLauncher(options.out, command_line(), 1)
    )
    forget()


def forget() -> None:
    """Clears caches of configurations, after the files behind their names have changed."""
    for cached in (config.bindings_of, config.mentioned, costs._configuration, costs._digest):
        cached.cache_clear()


def try_document(document: Path, monkeypatch) -> int:
    """Runs the blocks of a document in the current folder; returns the number of `zapbench` commands."""
    tried = 0
    for block in blocks(document):
        where = f"{document.name}, line {block.line}"
        if block.language == "sh":
            for line in block.text.replace("\\\n", " ").splitlines():
                for part in line.split(" && "):
                    words = shlex.split(part, comments=True)
                    if words:
                        tried += words[0] == "zapbench"
                        try_words(words, block.parsed, monkeypatch, where)
        elif named := NAMED.match(block.text):
            if block.language == "bash":
                for line in re.findall(r"^(?:srun )?zapbench (.*)$", block.text, re.M):
                    bind(shlex.split(re.sub(r"\$\w+", "0", line)))
            Path(named[1]).parent.mkdir(parents=True, exist_ok=True)
            Path(named[1]).write_text(block.text, encoding="utf-8")
        elif block.language == "python" and not block.parsed:
            exec(compile(block.text, where, "exec"), {"__name__": "__main__"})
        else:
            assert block.language in (*SHOWN, "python", "toctree"), f"{where}: a block of {block.language!r}"
    return tried


def try_words(words: list[str], parsed: bool, monkeypatch, where: str) -> None:
    name, *rest = words
    if name == "zapbench":
        if parsed:
            bind(rest)
        else:
            monkeypatch.setattr("sys.argv", words)
            if rest[0] in ("run", "transfer"):
                for option in ("--trials", "--select-trials"):
                    rest += [] if option in rest else [option, "1"]
            if rest[0] != "check" or not _is_checked():
                assert main(rest) == 0, f"{where}: {shlex.join(words)}"
    elif name == "make":
        targets = re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.M)
        assert {word for word in rest if "=" not in word} <= set(targets), f"{where}: {shlex.join(words)}"
    elif name == "cd":
        monkeypatch.chdir(rest[0])
    elif name == "mkdir":
        os.makedirs(rest[-1], exist_ok=True)
    elif name == "export":
        if not parsed:
            monkeypatch.setenv(*rest[0].split("=", 1))
    elif name == "tar":  # test_results.py tests the archives; here a few logs replace them
        assert (ROOT / rest[1]).is_file(), f"{where}: {shlex.join(words)}"
        shutil.copytree(DEMO, rest[rest.index("-C") + 1], dirs_exist_ok=True)
    elif name == ".":
        assert rest == [".venv/bin/activate"], f"{where}: {shlex.join(words)}"
    else:
        assert parsed, f"{where}: {name} is not supported; mark the block as parsed, not run"
        assert name in ("git", "helm", "kubectl", "pip", "python", "ray", "sbatch", "srun", "tensorboard"), (
            f"{where}: {shlex.join(words)}"
        )


def _is_checked() -> bool:
    """Whether another document has checked a strategy with the same files, which takes seconds."""
    found = sorted(path for path in Path.cwd().rglob("*") if path.suffix in (".py", ".gin"))
    key = hashlib.sha256("".join(path.read_text(encoding="utf-8") for path in found).encode()).hexdigest()
    return key in _CHECKED or bool(_CHECKED.add(key))


_CHECKED: set[str] = set()


def bind(arguments: list[str]) -> None:
    """Parses a command, and composes the configurations that it names."""
    options = _parser().parse_args(arguments)
    if arguments[0] == "suite":
        assert main([*arguments, *([] if options.dry_run else ["--dry-run"])]) == 0, shlex.join(arguments)
    if arguments[0] in ("run", "transfer"):
        bindings = config.parse_bindings(options.bindings)
        for transfer in options.transfer:
            config.compose(options.scenario, options.strategy, transfer, bindings, pretrain_seed=options.seed)

"""Every fenced block in the README, the tutorials and the how-tos works: `support.documents` runs them."""

import re
import shutil

import pytest
from support import documents
from support.paths import ROOT
from torch.utils.tensorboard import SummaryWriter

TRIED = [
    ROOT / "README.md",
    ROOT / "leaderboard" / "results" / "README.md",
    ROOT / "examples" / "my_strategy" / "README.md",
    *sorted(path for folder in ("tutorials", "how_to") for path in (ROOT / "docs" / folder).glob("*.md")),
]


@pytest.fixture
def place(tmp_path, monkeypatch, data_root):
    """A working folder with shrunk scenarios, and logs that zapbench did not write."""
    documents.shrink(tmp_path / "gin", monkeypatch)
    for method, score in (("naive", 0.2), ("replay", 0.6)):
        for seed in range(3):
            with SummaryWriter(str(tmp_path / "mylogs" / method / f"seed{seed}")) as writer:
                writer.add_scalar("Top1_Acc_Stream/eval_phase/test_stream", score + 0.01 * seed, 1)
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    documents.forget()


@pytest.mark.parametrize("document", TRIED, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_every_block_of_a_document_runs(document, place, monkeypatch):
    tried = documents.try_document(document, monkeypatch)
    if document == ROOT / "README.md":
        assert tried >= 12


def test_no_command_is_in_an_indented_block_that_would_not_be_run():
    for document in TRIED:
        text = documents.FENCE.sub("", document.read_text(encoding="utf-8"))
        assert not re.search(r"^    +(\.venv/bin/)?(zapbench|make) ", text, re.M), document


@pytest.mark.parametrize(
    ("block", "words"),
    [
        ("```sh\nzapbench run glyphs asb_zapp\n```", "zapbench run glyphs asb_zapp"),
        ("```sh\nmake everything\n```", "make everything"),
        ("```sh\ncurl http://elsewhere.example\n```", "curl is not supported"),
        ("<!-- parsed, not run: long -->\n```sh\nzapbench suite figure22\n```", "suite figure22"),
        ("```ruby\nputs 1\n```", "a block of 'ruby'"),
        ("```python\nassert 1 == 2, 'no'\n```", "no"),
    ],
)
def test_a_broken_block_fails(block, words, place, monkeypatch):
    (place / "bad.md").write_text(f"# Bad\n\n{block}\n")
    with pytest.raises(AssertionError, match=words):
        documents.try_document(place / "bad.md", monkeypatch)


def test_an_unknown_option_or_binding_fails_in_a_block_that_is_only_parsed(place, monkeypatch):
    for command, error in (
        ("zapbench suite demo --jbos 2", SystemExit),
        ("zapbench run glyphs asb -p 'ASB.n = 3'", ValueError),
    ):
        (place / "bad.md").write_text(f"<!-- parsed, not run: long -->\n```sh\n{command}\n```\n")
        with pytest.raises(error):
            documents.try_document(place / "bad.md", monkeypatch)

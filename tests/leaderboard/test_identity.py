"""`submission.toml`: who made a submission; checked, packed with it, and shown on the page."""

import zipfile

import pytest
from support.made_logs import write_submission

from zapbench.cli.main import main
from zapbench.leaderboard.decide.tables import tables
from zapbench.leaderboard.read.identity import Identity, identities, read_identity
from zapbench.leaderboard.read.load import load
from zapbench.leaderboard.show.page import write_site
from zapbench.leaderboard.submissions.archives import pack
from zapbench.leaderboard.submissions.check import check

GOOD = {
    "authors": '["Ada Lovelace", "Çelik Ñandú"]',
    "contact": '"ada@example.org"',
    "sentence": '"ASB with a larger memory."',
    "licence": '"CC-BY-4.0"',
    "date": "2026-11-26",
}


def toml(folder, **changed):
    values = {key: value for key, value in (GOOD | changed).items() if value is not None}
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "submission.toml"
    path.write_text("".join(f"{key} = {value}\n" for key, value in values.items()), encoding="utf-8")
    return path


def test_what_it_says_is_read(tmp_path):
    found = read_identity(toml(tmp_path, paper='"https://arxiv.org/abs/1?a=b#c"'))
    assert found == Identity(
        authors=("Ada Lovelace", "Çelik Ñandú"), contact="ada@example.org", sentence="ASB with a larger memory.",
        licence="CC-BY-4.0", date="2026-11-26", paper="https://arxiv.org/abs/1?a=b#c",
    )  # fmt: skip
    assert found.line == "Ada Lovelace, Çelik Ñandú, 2026-11-26, CC-BY-4.0: ASB with a larger memory."


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"authors": None, "date": None}, "lacks authors, date"), ({"authors": "[]"}, "list of 1 to 50 names"),
        ({"authors": '"Ada"'}, "list of 1 to 50 names"), ({"authors": "[1]"}, "authors is not a text"),
        ({"authors": '[""]'}, "authors is empty"), ({"authors": '["a\\u202Eb"]'}, "cannot be shown"),
        ({"authors": '["a\\u200Bb"]'}, "cannot be seen"), ({"authors": '["\\u2800"]'}, "cannot be seen"),
        ({"authors": '["a\\nb"]'}, "line break"),
        ({"authors": f'["{"x" * 301}"]'}, "longer than 300"), ({"authors": str(["a"] * 51)}, "list of 1 to 50"),
        ({"sentence": "7"}, "sentence is not a text"), ({"sentence": '"  "'}, "sentence is empty"),
        ({"contact": '"ada"'}, "neither an e-mail"), ({"contact": '"http://a.example"'}, "neither an e-mail"),
        ({"paper": '"http://a.example"'}, "begins with https://"), ({"paper": '"javascript:alert(1)"'}, "begins with"),
        ({"paper": '"https://a.example/\\"><script>"'}, "holds some that a link does not have"),
        ({"paper": '"https://localhost/x"'}, "no public"), ({"paper": '"https://u:p@a.example"'}, "no public host"),
        ({"paper": '"https://a.example:99999/"'}, "not a link"), ({"paper": f'"https://a.b/{"x" * 500}"'}, "longer"),
        ({"code": '"https://ａ.example"'}, "holds some"), ({"code": '"file:///etc/passwd"'}, "begins with https://"),
        ({"licence": '"<b>"'}, "not the name of a licence"), ({"date": '"2026-11-26"'}, "date without quotes"),
        ({"date": "2026-11-26T10:00:00"}, "date without quotes"), ({"date": "1999-01-01"}, "not in the years"),
        ({"author": '"x"'}, "unknown key 'author', did you mean authors"), ({"date": "1" * 400}, "date without quotes"),
        ({"date": "2026-13-45"}, "is not TOML"), ({"sentence": "[" * 5000}, "submission.toml"),
        ({"sentence": '"x"\n[a]\nb = 1'}, "unknown key 'a'"), ({"sentence": "1" * 5000}, "submission.toml"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_in_one_line(tmp_path, changed, words):
    with pytest.raises(ValueError, match=r"^submission\.toml") as raised:
        read_identity(toml(tmp_path, **changed))
    assert words in str(raised.value)
    assert len(str(raised.value).splitlines()) == 1


def test_a_file_that_is_long_or_no_text_is_refused(tmp_path):
    path = tmp_path / "submission.toml"
    path.write_bytes(b"#" * 20_000)
    with pytest.raises(ValueError, match="more than 16,384 bytes"):
        read_identity(path)
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(ValueError, match="is not TOML"):
        read_identity(path)


def test_it_is_packed_and_checked_with_the_logs_and_submissions_without_it_stay_valid(tmp_path, capsys):
    write_submission(tmp_path / "logs")
    assert main(["submit", str(tmp_path / "logs"), "--out", str(tmp_path / "s.zip")]) == 0
    assert "without a valid submission.toml" in capsys.readouterr().out
    toml(tmp_path / "logs")
    assert main(["submit", str(tmp_path / "logs"), "--out", str(tmp_path / "s.zip")]) == 0
    assert "  by Ada Lovelace, Çelik Ñandú, 2026-11-26, CC-BY-4.0: ASB" in capsys.readouterr().out
    with zipfile.ZipFile(tmp_path / "s.zip") as archive:
        assert "submission.toml" in archive.namelist()


def test_a_wrong_one_is_not_packed_and_refused_in_a_zip_and_elsewhere_in_it_is_no_event_file(tmp_path):
    write_submission(tmp_path / "logs")
    wrong = toml(tmp_path, contact='"x"')
    with pytest.raises(ValueError, match=r"submission\.toml: contact is neither"):
        pack(tmp_path / "logs", tmp_path / "s.zip", wrong)
    pack(tmp_path / "logs", tmp_path / "s.zip")
    with zipfile.ZipFile(tmp_path / "s.zip", "a") as archive:
        archive.write(wrong, "submission.toml")
        archive.write(wrong, "below/submission.toml")
    problems = check(tmp_path / "s.zip").problems
    assert any("submission.toml: contact is neither" in problem for problem in problems)
    assert any("below/submission.toml: not an event file" in problem for problem in problems)


def test_the_command_writes_one_to_fill_in_and_refuses_it_until_it_is(tmp_path, capsys):
    write_submission(tmp_path / "logs")
    command = [
        "submit",
        str(tmp_path / "logs"),
        "--out",
        str(tmp_path / "s.zip"),
        "--identity",
        str(tmp_path / "me.toml"),
    ]
    assert main(command) == 2
    assert "fill it in" in capsys.readouterr().err
    assert main(command) == 2
    assert "me.toml: authors is not a list of 1 to 50 names" in capsys.readouterr().err
    assert not (tmp_path / "s.zip").exists()


def test_the_page_shows_who_made_what_and_of_whom_nothing_is_known(tmp_path):
    for name, link in (("mine", '"https://example.org/a?b=1&c=2"'), ("yours", None)):
        write_submission(tmp_path / "logs" / name, (name,))
        toml(tmp_path / "logs" / name, paper=link, sentence=f'"<b>{name}</b> is new."')
    write_submission(tmp_path / "logs" / "old", ("old",))
    toml(tmp_path / "logs" / "wrong", date="7")
    write_submission(tmp_path / "logs" / "wrong", ("wrong",))
    logs = load(tmp_path / "logs")
    write_site(tables(logs), logs, tmp_path / "page")
    index = (tmp_path / "page" / "index.html").read_text(encoding="utf-8")
    assert "&lt;b&gt;mine&lt;/b&gt; is new." in index
    assert '<a href="https://example.org/a?b=1&amp;c=2" rel="noopener noreferrer nofollow">' in index
    assert "wrong/submission.toml: date is not a date" in index
    pages = {path.stem: path.read_text(encoding="utf-8") for path in (tmp_path / "page" / "methods").iterdir()}
    stated = {name: "Licence of the logs: CC-BY-4.0" in text for name, text in pages.items()}
    assert stated == {"mine": True, "yours": True, "old": False, "wrong": False}
    assert "No valid submission.toml says who made these logs." in pages["old"]


def test_a_file_speaks_for_its_folder_and_those_below_and_never_for_another_folder_of_logs(tmp_path):
    write_submission(tmp_path / "a" / "x", ("x",))
    write_submission(tmp_path / "b", ("y",))
    toml(tmp_path / "a")
    toml(tmp_path)
    logs = load([tmp_path / "a", tmp_path / "b"])
    found, problems = identities(logs)
    assert problems == []
    assert {file.partition("/")[0] for file in found} == {"a"}

"""`zapbench data` as a person runs it, and the scenario cards, which agree with the code."""

import subprocess
import sys
from pathlib import Path

import pytest
from matplotlib.font_manager import FontEntry, fontManager
from PIL import Image
from support.paths import ROOT

from zapbench import config
from zapbench.cli.data import scenario_of
from zapbench.cli.main import main
from zapbench.cli.scenario_cards import all_cards, sizes_of
from zapbench.scenarios import contact_sheet
from zapbench.scenarios.catalog import CATALOG
from zapbench.scenarios.contact_sheet import face_for

DOCS = ROOT / "docs"


def test_list_shows_what_is_here_what_is_missing_and_where_it_was_looked_for(data_root, capsys):
    (data_root / "tiny-imagenet" / "tiny-imagenet-200").mkdir(parents=True)
    (data_root / "tiny-imagenet" / "tiny-imagenet-200" / "file").write_bytes(b"x" * 2_000_000)
    assert main(["data", "list"]) == 0
    shown = capsys.readouterr().out
    lines = {line.split()[0]: line for line in shown.splitlines()}
    assert set(CATALOG) < set(lines)
    assert "here     2 MB" in lines["tiny_imagenet"]
    assert "MIT" in lines["omniglot"]
    assert "missing" in lines["omniglot"]
    assert f"lookedforin{data_root / 'omniglot-py'}" in "".join(shown.split())  # a long path may be broken


def test_list_needs_neither_torch_nor_avalanche():
    code = (
        "import sys; from zapbench.cli import main; main(['data', 'list'])\n"
        "assert not {'torch', 'avalanche'} & set(sys.modules), 'heavy import'"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["fetch", "omniglott"], "no data set 'omniglott', did you mean omniglot"),
        (["fetch", "omniglot"], "ZAPBENCH_OFFLINE is set"),
        (["fetch", "mini-imagenet"], "mini_imagenet cannot be fetched: it has no official archive"),
        (["verify", "tiny-imagenet"], "tiny_imagenet: no "),
        (["build", "omniglot", "--imagenet", "."], "omniglot cannot be built; allowed: omni_image, omni_image_100"),
        (["build", "omni-image", "--imagenet", "nowhere"], "--imagenet: there is no folder nowhere"),
        (["build", "omni-image", "--imagenet", "."], "lacks the class n04311004"),
        (["build", "omni-image-100", "--imagenet", "."], "give --list OmnImage_100.txt"),
        (["build", "omni-image", "--imagenet", ".", "--list", "none.txt"], "--list: there is no file none.txt"),
        (["show", "glyphs", "--out", "sheet.gif"], "allowed: a file that ends in .png"),
        (["show", "glyph", "--out", "sheet.png"], "no scenario 'glyph', did you mean glyphs"),
        (["card", "glyph"], "no data set 'glyph', did you mean glyphs"),
    ],
)
def test_a_mistake_is_one_line_and_exit_2_and_leaves_nothing(
    arguments, words, data_root, monkeypatch, capsys, tmp_path
):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    assert main(["data", *arguments]) == 2
    error = [line for line in capsys.readouterr().err.splitlines() if line.startswith("zapbench:")]
    assert len(error) == 1
    assert words in error[0]
    assert list((tmp_path / "here").iterdir()) == []
    assert not [path for path in data_root.rglob("*") if path.is_file() and not path.name.endswith(".lock")]


def test_no_permission_is_one_line(data_root, monkeypatch, capsys):
    monkeypatch.setenv("ZAPBENCH_OFFLINE", "0")

    def refuse(self, *arguments, **more):
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "mkdir", refuse)
    assert main(["data", "fetch", "omniglot"]) == 1
    (error,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("zapbench:")]
    assert error.startswith(f"zapbench: Permission denied ({data_root / 'omniglot-py'})")


def test_verify_recognises_real_omniglot_by_its_pixels_in_any_archive(real_omniglot, capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert main(["data", "verify", "omniglot"]) == 0
    said = capsys.readouterr().out
    assert "32,460 images of 1,623 classes; the pixels are all of Omniglot" in said
    assert "images_background.zip is not the official archive" in said


def test_verify_continues_after_a_bad_data_set(data_root, capsys):
    (data_root / "omniglot-py").mkdir(parents=True)
    for part in ("background", "evaluation"):
        (data_root / "omniglot-py" / f"images_{part}.zip").write_bytes(b"PK")
    assert main(["data", "verify"]) == 1
    out, error = capsys.readouterr()
    assert "images_background.zip is not a readable archive" in error
    assert "tiny_imagenet: missing" in out


def test_class_names_in_any_script_are_written_in_a_font_that_has_them_or_as_code_points(monkeypatch):
    dejavu, written = face_for("ქართული")
    assert (Path(dejavu).name, written) == ("DejaVuSans.ttf", "ქართული")
    monkeypatch.setattr(fontManager, "ttflist", [])
    assert face_for("a日") == (dejavu, "a<U+65E5>")
    monkeypatch.setattr(fontManager, "ttflist", [FontEntry(fname="japanese.ttf"), FontEntry(fname="missing.ttf")])
    monkeypatch.setattr(contact_sheet, "_characters", lambda path: frozenset(map(ord, "a日" if "jap" in path else "a")))
    assert face_for("a日") == ("japanese.ttf", "a日")


def test_a_sheet_is_drawn_and_nothing_else_is_left(tmp_path):
    assert main(["data", "show", "glyphs", "--out", str(tmp_path / "sheet.png")]) == 0
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.width > 800
        colours = sheet.convert("L").getcolors()
    assert min(value for _, value in colours) < 50 < 250 < max(value for _, value in colours)
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_file()) == ["sheet.png"]


def test_the_page_of_cards_says_what_the_code_does():
    assert (DOCS / "scenarios.md").read_text(encoding="utf-8") == all_cards()


def test_every_shipped_scenario_is_on_exactly_one_card():
    on_cards = [name for about in CATALOG.values() for name in about.scenarios]
    assert sorted(on_cards) == config.names("scenarios")


@pytest.mark.parametrize("name", config.names("scenarios"))
def test_the_sizes_on_a_card_are_the_scenarios_own(name, provide):
    provide(name)
    scenario, sizes = scenario_of(name), sizes_of(name)
    for size in ("classes_per_trial", "pretrain_images", "images_trained_on", "images_held_out", "size", "draws"):
        assert getattr(scenario, size) == sizes[size], size


def test_a_persons_own_images_are_a_scenario_by_one_file(photographs, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for place, image in enumerate(photographs):
        (tmp_path / "own" / f"c{place % 8}").mkdir(parents=True, exist_ok=True)
        image.save(tmp_path / "own" / f"c{place % 8}" / f"{place}.png")
    small = Path(config.find("scenarios", "omniglot_small")).read_text(encoding="utf-8")
    macros = "".join(line for line in small.splitlines(keepends=True) if line.partition(" ")[0].isupper())
    (tmp_path / "own.gin").write_text(
        "import zapbench.networks.classifier\nimport zapbench.scenarios.image_folder\nrun.scenario = @image_folder()\n"
        f"image_folder.root = {str(tmp_path / 'own')!r}\nimage_folder.name = 'own'\nimage_folder.pretrain = 4\n"
        "image_folder.selection = 2\nimage_folder.size = 28\nimage_folder.pretrain_images = 4\n"
        "image_folder.validation_images = 1\nimage_folder.images_trained_on = 3\nimage_folder.images_held_out = 2\n"
        f"convnet.filters = 4\n{macros}"
    )
    out = tmp_path / "runs"
    more = ["--out", str(out), "--rates", "0.01", "--trials", "1", "--select-trials", "1", "-p", "ASB.episodes = 3"]
    more += ["-p", "K = 2", "-p", "R = 8"]
    assert main(["run", str(tmp_path / "own.gin"), "asb_zap", *more]) == 0
    assert len(list(out.rglob("*tfevents*"))) == 3

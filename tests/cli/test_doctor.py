"""`zapbench doctor` finds what is broken, names a fix, and itself needs only the standard library."""

import os
import shutil
import subprocess
import sys
import types
import venv
from importlib import metadata
from pathlib import Path

import pytest
from support.paths import ROOT

from zapbench.cli import environment
from zapbench.cli.diagnosis import BROKEN, NOTE, OK
from zapbench.cli.environment import examine
from zapbench.cli.main import main

LINKS = ("scenarios", "strategies", "leaderboard")


def states(out):
    return {finding.subject: finding.state for finding in examine(out)}


def of(subject, out):
    return next(finding for finding in examine(out) if finding.subject == subject)


def test_a_working_installation_is_reported_with_exit_0_and_nothing_is_written(data_root, tmp_path, capsys):
    assert main(["doctor", "--out", str(tmp_path / "runs")]) == 0
    said = capsys.readouterr().out
    for line in ("ok      packages ", "ok      extra [train] ", "ok      data glyphs"):
        assert line in said
    assert said.splitlines()[-1] == "zapbench can run on this machine"
    for name in ("torch", "avalanche-lib", "timm"):
        assert f"{name} {metadata.version(name)}, " in said
    assert "zapbench data fetch omniglot" in said
    assert not any((tmp_path / name).exists() for name in ("runs", "data", "cache/zapbench"))


def test_every_remedy_that_begins_with_zapbench_is_a_valid_command(data_root, tmp_path):
    from zapbench.cli.main import _parser

    remedies = [finding.remedy for finding in examine(tmp_path) if finding.remedy.startswith("zapbench ")]
    assert remedies
    for remedy in remedies:
        _parser().parse_args(remedy.split()[1:])


def test_a_package_that_is_missing_or_too_old_or_cannot_be_imported_is_named_with_its_remedy(
    monkeypatch, tmp_path, data_root
):
    asked = [("no-such-package", ">=2", ""), ("numpy", ">=99", ""), ("timm", "", "train"), ("no-such-extra", "", "ray")]
    monkeypatch.setattr(environment, "requirements", lambda: asked)
    monkeypatch.setitem(sys.modules, "timm", None)
    found = {finding.subject: finding for finding in examine(tmp_path)}
    assert found["no-such-package"].state == found["numpy"].state == found["timm"].state == BROKEN
    assert found["no-such-package"].remedy == "python -m pip install 'no-such-package>=2'"
    assert found["numpy"].detail == f"is {metadata.version('numpy')}, but zapbench needs >=99"
    assert "cannot be imported" in found["timm"].detail
    assert found["extra [ray]"].state == NOTE
    assert found["extra [ray]"].remedy.startswith("python -m pip install ")


def test_an_error_while_a_package_is_imported_is_reported_in_one_line(monkeypatch, tmp_path, capsys):
    def broken(name):
        raise RuntimeError("operator torchvision::nms does not exist\nand more")

    monkeypatch.setattr(environment, "importlib", types.SimpleNamespace(import_module=broken))
    assert main(["doctor", "--out", str(tmp_path)]) == 1
    said = capsys.readouterr().out
    assert "is installed but cannot be imported: operator torchvision::nms does not exist\n" in said
    assert "and more" not in said
    assert said.splitlines()[-1].endswith("checks failed: fix them, then run `zapbench doctor` again")


def test_it_runs_in_an_environment_without_any_package(tmp_path):
    venv.create(tmp_path / "bare", with_pip=False)
    for name in ("zapbench", "scenarios", "strategies", "leaderboard"):
        target = tmp_path / "source" / "zapbench" / ("" if name == "zapbench" else name)
        shutil.copytree(
            ROOT / name, target, ignore=shutil.ignore_patterns("gin", "results", *LINKS), dirs_exist_ok=True
        )
    done = subprocess.run(
        [tmp_path / "bare" / "bin" / "python", "-m", "zapbench", "doctor"],
        cwd=tmp_path,
        env={"PYTHONPATH": str(tmp_path / "source"), "HOME": str(tmp_path), "PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == ""
    assert done.returncode == 1
    assert "BROKEN  numpy " in done.stdout
    assert "python -m pip install" in done.stdout


def test_a_folder_that_cannot_be_written_to_is_broken(tmp_path, monkeypatch, data_root):
    (tmp_path / "file").write_text("in the way")
    assert states(tmp_path / "runs")["output folder"] == OK
    assert "Not a directory" in of("output folder", tmp_path / "file" / "runs").detail
    assert states(Path("/proc/zapbench"))["output folder"] == BROKEN  # not even root can write there
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    cache = of("cache folder", tmp_path / "runs")
    assert cache.state == BROKEN
    assert cache.remedy == "choose another: export XDG_CACHE_HOME=FOLDER"


def test_a_folder_with_little_free_space_is_noted(tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: types.SimpleNamespace(free=5e6))
    assert of("output folder", tmp_path).state == NOTE
    assert "5 MB free" in of("output folder", tmp_path).detail


def test_a_data_folder_may_be_empty_or_missing_but_not_unusable(tmp_path, monkeypatch):
    def data_folder(value):
        monkeypatch.setenv("ZAPBENCH_DATA", str(value))
        return of("data folder", tmp_path).state

    (tmp_path / "file").write_text("")
    (tmp_path / "empty").mkdir()
    assert data_folder(tmp_path / "file") == BROKEN
    assert data_folder(tmp_path / "file" / "below") == BROKEN
    assert data_folder("/proc/1/nowhere") == BROKEN
    monkeypatch.setenv("ZAPBENCH_DATA", "~nobody-of-this-name/data")
    assert of("data", tmp_path).state == BROKEN
    assert data_folder(tmp_path / "empty") == OK
    assert data_folder(tmp_path / "not yet") == NOTE


def test_empty_data_files_are_broken(data_root, tmp_path):
    folder = data_root / "omniglot-py"
    folder.mkdir(parents=True)
    for name in ("images_background.zip", "images_evaluation.zip"):
        (folder / name).touch()
    found = of("data omniglot", tmp_path)
    assert found.state == BROKEN
    assert found.remedy == "delete it, then: zapbench data fetch omniglot"


def test_missing_configurations_are_broken(monkeypatch, tmp_path):
    from zapbench.config import registry

    monkeypatch.setattr(registry, "root", lambda: tmp_path)
    assert of("configurations", tmp_path).state == BROKEN


@pytest.mark.parametrize("seen", [True, False])
def test_a_gpu_that_torch_does_not_find_is_noted(seen, monkeypatch, tmp_path):
    import torch

    monkeypatch.setattr(torch.cuda, "device_count", lambda: int(seen))
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda _: "Some GPU")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    assert of("GPU", tmp_path).state == (OK if seen else NOTE)


def test_a_package_that_only_newer_versions_of_python_need_is_not_missed(monkeypatch):
    asked = ["numpy>=1.26", 'setuptools; python_version >= "3.12"', 'ray>=2.40; extra == "ray"']
    monkeypatch.setattr(environment.metadata, "requires", lambda name: asked)
    for version, names in (((3, 11), ["numpy", "ray"]), ((3, 12), ["numpy", "setuptools", "ray"])):
        monkeypatch.setattr(environment.sys, "version_info", version)
        assert [name for name, _, _ in environment.requirements()] == names

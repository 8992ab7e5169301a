"""Decoded copies on disk: verified at each opening, and built again where damaged."""

import dataclasses
import json
import random
import shutil

import numpy as np
import pytest

from zapbench.scenarios import cache
from zapbench.scenarios.cache import cached
from zapbench.scenarios.images import Images, digest
from zapbench.scenarios.roots import cache_root

FILES = ("pixels.npy", "labels.npy", "groups.npy", "meta.json")


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def an_image_set():
    pixels = np.random.default_rng(0).integers(0, 256, (90, 10, 10), dtype=np.uint8)
    labels = np.repeat(np.arange(9), 10)
    return Images(pixels, labels, tuple("abcdefghi"), digest(pixels, labels), np.tile(np.arange(10), 9))


class Built:
    """Counts how often images are built."""

    def __init__(self):
        self.times = 0

    def __call__(self):
        self.times += 1
        return an_image_set()


def same(one, other):
    arrays = ("pixels", "labels", "groups")
    return (one.classes, one.digest) == (other.classes, other.digest) and all(
        np.array_equal(getattr(one, name), getattr(other, name)) for name in arrays
    )


def folder():
    (found,) = (path for path in cache_root().glob("few-*") if path.is_dir())
    return found


def flipped(path):
    content = bytearray(path.read_bytes())
    content[random.Random(path.name).randrange(len(content))] ^= 4
    path.write_bytes(content)


def zeroed(path):
    content = path.read_bytes()
    path.write_bytes(content[:100].ljust(len(content), b"\0"))


DAMAGE = {
    "a bit flipped": flipped,
    "zeros after the start": zeroed,
    "cut": lambda path: path.write_bytes(path.read_bytes()[:-7]),
    "empty": lambda path: path.write_bytes(b""),
    "longer": lambda path: path.write_bytes(path.read_bytes() + b"\0"),
    "missing": lambda path: path.unlink(),
    "a folder": lambda path: (path.unlink(), path.mkdir()),
}


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_file_is_named_and_the_copy_built_again(name, damage, capsys):
    build = Built()
    cached("few", {}, build)
    DAMAGE[damage](folder() / name)
    assert same(cached("few", {}, build), an_image_set())
    assert build.times == 2
    assert f"is damaged ({name}" in capsys.readouterr().err
    cached("few", {}, build)
    assert build.times == 2, "what was built again is intact"
    assert sorted(path.name for path in folder().iterdir()) == sorted(FILES)


def test_every_flipped_bit_of_a_copy_is_noticed():
    cached("few", {}, an_image_set)
    generator, copy = random.Random(0), folder()
    for name in FILES:
        intact = (copy / name).read_bytes()
        for _ in range(200):
            content = bytearray(intact)
            content[generator.randrange(len(content))] ^= 1 << generator.randrange(8)
            (copy / name).write_bytes(content)
            with pytest.raises(cache.Damaged, match=name):
                cache._verified(copy)
        (copy / name).write_bytes(intact)
    assert same(cache._verified(copy), an_image_set())


def test_facts_of_another_copy_are_noticed():
    build = Built()
    cached("few", {}, build)
    other = dataclasses.replace(an_image_set(), classes=tuple("ABCDEFGHI"))
    cached("few", {"other": 1}, lambda: other)
    first, second = sorted((path for path in cache_root().glob("few-*")), key=lambda path: path.stat().st_mtime_ns)
    meta = json.loads((first / "meta.json").read_text())
    meta["classes"] = list("ABCDEFGHI")
    (first / "meta.json").write_text(json.dumps(meta))
    assert same(cached("few", {}, build), an_image_set())
    shutil.copy(second / "pixels.npy", first / "extra.npy")
    cached("few", {}, build)
    assert build.times == 2, "a file that was not there changes nothing"


def test_files_and_folders_are_synced_before_the_folder_appears(monkeypatch):
    synced = []
    sync = cache._sync
    monkeypatch.setattr(cache, "_sync", lambda path: (synced.append((path.name, len(visible()))), sync(path)))

    def visible():
        return [path for path in cache_root().glob("few-*") if path.is_dir()]

    cached("few", {}, an_image_set)
    assert {name for name, seen in synced if not seen} > set(FILES)
    assert synced[-1] == (cache_root().name, 1), "and the folder that holds it after"


def test_two_damaged_openings_in_a_row_build_once_each(capsys):
    build = Built()
    for _ in range(3):
        cached("few", {}, build)
        flipped(folder() / "pixels.npy")
    assert build.times == 3
    assert capsys.readouterr().err.count("it is built again") == 2


def test_a_cache_that_cannot_be_used_keeps_images_in_memory(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert same(cached("few", {}, an_image_set), an_image_set())
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "other"))
    cache_root().parent.mkdir(parents=True)
    cache_root().write_text("a file in place of the folder")
    assert same(cached("few", {}, an_image_set), an_image_set())


def test_a_file_in_place_of_a_copy_is_replaced():
    cached("few", {}, an_image_set)
    place = folder()
    shutil.rmtree(place)
    place.write_text("no folder")
    assert same(cached("few", {}, an_image_set), an_image_set())
    assert place.is_dir()

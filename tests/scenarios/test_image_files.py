"""Which files of a folder or archive are images, and which things are refused by name."""

import os
import zipfile

import pytest

from zapbench.scenarios import decode_worker
from zapbench.scenarios.image_files import by_class, contents_of, image_files

SKIPPED = (
    ".ipynb_checkpoints/a.png", "__MACOSX/c/a.png", "c/._a.png", "c/.thumbnails/a.jpg", "@eaDir/a.jpg", ".hidden.png",
    "$RECYCLE.BIN/a.png", "System Volume Information/a.png",
)  # fmt: skip


def write(root, *names, content=b"x"):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    return root


def zipped(path, *names):
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            archive.writestr(name, b"x")
    return path


def names(source):
    return [file.name for file in image_files(source)]


def test_hidden_and_service_files_and_folders_are_skipped_in_folders_and_archives(tmp_path):
    kept = ("c/a.PNG", "c/b.jpeg", "d/a.jpg")
    for source in (write(tmp_path / "x", *kept, *SKIPPED, "c/Thumbs.db"), zipped(tmp_path / "x.zip", *kept, *SKIPPED)):
        assert names(source) == list(kept)
        assert contents_of(source).folders == ["c", "d"]
    assert names(write(tmp_path / ".x" / "y", "c/a.png")) == ["c/a.png"], "a person's own folder may be hidden"


def test_links_to_folders_and_files_are_followed(tmp_path):
    write(tmp_path, "store/c/a.png", "root/d/b.png")
    (tmp_path / "root" / "c").symlink_to(tmp_path / "store" / "c")
    (tmp_path / "root" / "d" / "e.png").symlink_to(tmp_path / "store" / "c" / "a.png")
    assert names(tmp_path / "root") == ["c/a.png", "d/b.png", "d/e.png"]


@pytest.mark.parametrize("name", ["c", "c.png"])
def test_a_link_that_leads_nowhere_is_named(tmp_path, name):
    (tmp_path / name).symlink_to(tmp_path / "nothing")
    with pytest.raises(ValueError, match=rf"{name} is a link that leads nowhere"):
        image_files(tmp_path)


def test_a_link_in_a_circle_is_named(tmp_path):
    write(tmp_path, "c/a.png")
    (tmp_path / "c" / "back").symlink_to(tmp_path)
    with pytest.raises(ValueError, match="back is a link to a folder that it is in"):
        image_files(tmp_path)


def make_link_to_zeros(path):
    path.symlink_to("/dev/zero")


@pytest.mark.parametrize("make", [os.mkfifo, make_link_to_zeros])
def test_what_is_no_regular_file_is_refused_and_never_waited_for(tmp_path, make):
    make(tmp_path / "a.png")
    with pytest.raises(ValueError, match=r"a\.png is not a regular file"):
        image_files(tmp_path)
    with pytest.raises(ValueError, match=r"a\.png is not a regular file"):
        decode_worker.Reader()(str(tmp_path), "a.png")
    make(tmp_path / "images.zip")
    with pytest.raises(ValueError, match=r"images\.zip is neither a folder nor a regular file"):
        image_files(tmp_path / "images.zip")


def test_a_folder_that_cannot_be_read_is_an_error(tmp_path, monkeypatch):
    write(tmp_path, "c/a.png")
    scan = os.scandir

    def refuse(path):
        if str(path).endswith("c"):
            raise PermissionError(13, "Permission denied", str(path))
        return scan(path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(OSError, match="Permission denied"):
        image_files(tmp_path)


def test_a_file_larger_than_any_image_is_not_read(tmp_path, monkeypatch):
    monkeypatch.setattr(decode_worker, "LARGEST", 4)
    write(tmp_path, "c/a.png", content=b"12345")
    zipped(tmp_path / "x.zip", "a.png")
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr("a.png", b"12345")
    for source, name in ((tmp_path / "c", "a.png"), (tmp_path / "x.zip", "a.png")):
        with pytest.raises(ValueError, match=r"a\.png has 5 bytes; at most 4 are read"):
            decode_worker.Reader()(str(source), name)


def test_a_member_that_an_archive_has_twice_is_named(tmp_path):
    with pytest.warns(UserWarning, match="Duplicate name"):
        zipped(tmp_path / "x.zip", "c/a.png", "c/b.png", "c/a.png")
    with pytest.raises(ValueError, match=r"x\.zip has the member 'c/a.png' twice"):
        image_files(tmp_path / "x.zip")


def test_an_encrypted_member_is_named(tmp_path):
    path = zipped(tmp_path / "x.zip", "a.png")
    content = bytearray(path.read_bytes())
    content[content.index(b"PK\x01\x02") + 8] |= 1
    content[6] |= 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"x\.zip is damaged at a\.png .*password"):
        decode_worker.Reader()(str(path), "a.png")


def test_two_folders_of_one_name_are_named_and_not_merged(tmp_path):
    write(tmp_path, "train/c/a.png", "test/c/b.png")
    with pytest.raises(ValueError, match="has the folder c twice: test/c and train/c"):
        by_class(image_files(tmp_path), 1)

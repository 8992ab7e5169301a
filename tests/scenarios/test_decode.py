"""From an image file to pixels: bits, transparency, orientation, formats; and where decoding processes import from."""

import io
import os
import sys

import numpy as np
import pytest
from PIL import Image

from zapbench.scenarios import decode
from zapbench.scenarios.decode import NotDistinct, Reading, decoded, decoded_into
from zapbench.scenarios.image_files import image_files


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def photograph(photographs):
    return photographs[3].resize((24, 24))


def pixels(folder, mode="RGB", **reading):
    files = {"c": image_files(folder)}
    return np.asarray(decoded("test", files, Reading(**({"mode": mode, "size": 24} | reading))).pixels)


def one(folder, image, form="PNG", mode="RGB", *, reading=(), **saving):
    folder.mkdir(exist_ok=True)
    image.save(folder / f"a.{'png' if form == 'PNG' else 'jpg'}", form, **saving)
    return pixels(folder, mode, **dict(reading))[0]


def test_sixteen_bits_are_scaled_to_eight(tmp_path, photograph):
    eight = np.asarray(photograph.convert("L"))
    assert np.array_equal(one(tmp_path / "a", Image.fromarray(eight.astype(np.uint16) * 257), mode="L"), eight)
    ramp = Image.fromarray((np.arange(24 * 24, dtype=np.uint32).reshape(24, 24) * 65535 // 575).astype(np.uint16))
    expected = np.rint(np.asarray(ramp) / 257).astype(np.uint8)
    assert np.array_equal(one(tmp_path / "b", ramp, mode="L"), expected)
    assert np.array_equal(one(tmp_path / "c", ramp)[..., 2], expected)


def test_a_grey_level_of_sixteen_bits_that_is_transparent_shows_the_ground(tmp_path):
    values = np.full((24, 24), 30000, np.uint16)
    values[:12] = 5
    found = one(tmp_path / "a", Image.fromarray(values), mode="L", transparency=5)
    assert (found[:12] == 255).all()
    assert (found[12:] == 117).all()


@pytest.mark.parametrize("ground", [255, 0, 100])
@pytest.mark.parametrize("mode", ["RGBA", "LA", "P", "PA in P", "L with a clear level", "RGB with a clear colour"])
def test_transparent_pixels_show_the_ground_whatever_lies_below_them(tmp_path, photograph, mode, ground):
    mask = np.zeros((24, 24), bool)
    mask[:, 12:] = True
    colours = np.asarray(photograph).copy()
    colours[mask] = (7, 250, 3)
    saving = {}
    if mode in ("RGBA", "PA in P"):
        image = Image.fromarray(np.dstack([colours, np.where(mask, 0, 255).astype(np.uint8)]))
        image = image if mode == "RGBA" else image.quantize(64, method=Image.Quantize.FASTOCTREE)
    elif mode == "LA":
        grey = np.asarray(Image.fromarray(colours).convert("L"))
        image = Image.fromarray(np.dstack([grey, np.where(mask, 0, 255).astype(np.uint8)]))
    elif mode == "P":
        image = Image.fromarray(colours).quantize(32)
        saving["transparency"] = int(np.asarray(image)[0, 20])
    elif mode.startswith("L"):
        grey = np.asarray(Image.fromarray(colours).convert("L")).clip(10).copy()
        grey[mask] = 3
        image, saving["transparency"] = Image.fromarray(grey), 3
    else:
        image, saving["transparency"] = Image.fromarray(colours), (7, 250, 3)
    found = one(tmp_path / "a", image, reading={"ground": ground}, **saving)
    assert (found[mask] == ground).all()
    assert found[~mask].std() > 5, "the rest is the photograph"


def test_half_transparent_pixels_are_blended_with_the_ground(tmp_path):
    image = Image.new("RGBA", (24, 24), (100, 0, 200, 128))
    assert one(tmp_path / "a", image).tolist()[0][0] == [177, 127, 227]


def test_opaque_images_with_an_alpha_channel_keep_their_pixels(tmp_path, photograph):
    assert np.array_equal(one(tmp_path / "a", photograph.convert("RGBA")), np.asarray(photograph))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("form", ["PNG", "JPEG"])
def test_images_are_turned_upright_as_viewers_turn_them(tmp_path, photograph, orientation, form):
    from PIL import ImageOps

    exif = Image.Exif()
    exif[0x0112] = orientation
    found = one(tmp_path / "a", photograph, form, exif=exif)
    with Image.open(next((tmp_path / "a").iterdir())) as stored:
        assert np.array_equal(found, np.asarray(ImageOps.exif_transpose(stored)))
        assert np.array_equal(found, np.asarray(stored)) == (orientation == 1)


def test_a_turned_image_must_have_the_size_after_turning(tmp_path, photograph):
    exif = Image.Exif()
    exif[0x0112] = 6
    (tmp_path / "a").mkdir()
    photograph.resize((24, 30)).save(tmp_path / "a" / "a.png", exif=exif)
    with pytest.raises(ValueError, match=r"a\.png is 24x30, and every image is 30x24"):
        pixels(tmp_path / "a", original=(30, 24))
    assert pixels(tmp_path / "a", original=(24, 30)).shape == (1, 24, 24, 3)


def test_damaged_exif_is_no_reason_not_to_read_an_image(tmp_path, photograph):
    found = one(tmp_path / "a", photograph, exif=b"Exif\0\0MM\0*\0\0\0\x08\xff\xff")
    assert np.array_equal(found, np.asarray(photograph))


def test_cmyk_and_palettes_and_one_bit_are_read_as_colours(tmp_path, photograph):
    near = one(tmp_path / "cmyk", photograph.convert("CMYK"), "JPEG", quality=98)
    assert np.abs(near.astype(int) - np.asarray(photograph)).mean() < 6
    palette = photograph.quantize(64)
    assert np.array_equal(one(tmp_path / "palette", palette), np.asarray(palette.convert("RGB")))
    bits = photograph.convert("1")
    assert np.array_equal(one(tmp_path / "bits", bits, mode="L"), np.asarray(bits.convert("L")))


def test_of_several_pictures_in_a_file_the_first_is_read(tmp_path, photographs):
    first, second = (image.resize((24, 24)) for image in photographs[:2])
    (tmp_path / "phone").mkdir()
    first.save(tmp_path / "phone" / "a.jpg", "MPO", save_all=True, append_images=[second], quality=98)
    assert np.abs(pixels(tmp_path / "phone")[0].astype(int) - np.asarray(first)).mean() < 6
    assert np.array_equal(
        one(tmp_path / "a", first, save_all=True, append_images=[second], default_image=True), np.asarray(first)
    )


@pytest.mark.parametrize("form", ["EPS", "GIF", "BMP", "TIFF", "WEBP", "PPM", "PCX"])
def test_only_png_and_jpeg_are_opened_whatever_a_file_is_called(tmp_path, photograph, form):
    content = io.BytesIO()
    photograph.save(content, form)
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "a.png").write_bytes(content.getvalue())
    with pytest.raises(ValueError, match=r"a\.png is not a readable image \(no PNG or JPEG\)"):
        pixels(tmp_path / "a")


def test_damaged_images_are_named_or_read(tmp_path, photograph):
    """What a damaged image raises in PIL is not foreseen; it must not be more than one line."""
    generator = np.random.default_rng(0)
    content = io.BytesIO()
    photograph.save(content, "PNG", exif=b"Exif\0\0MM\0*\0\0\0\x08\0\0")
    (tmp_path / "a").mkdir()
    for _ in range(200):
        damaged = bytearray(content.getvalue())
        for place in generator.integers(0, len(damaged), 3):
            damaged[place] ^= int(generator.integers(1, 256))
        (tmp_path / "a" / "a.png").write_bytes(damaged[: int(generator.integers(1, len(damaged)))])
        error = None
        try:
            decoded_into("test", {"c": image_files(tmp_path / "a")}, Reading(mode="L", size=8), tmp_path)
        except ValueError as caught:
            error = str(caught)
        assert error is None or "a.png is not a readable image" in error


def test_an_image_of_one_colour_is_named_where_images_must_be_distinct(tmp_path, photograph):
    (tmp_path / "a").mkdir()
    photograph.save(tmp_path / "a" / "a.png")
    Image.new("RGB", (30, 20), (9, 9, 8)).save(tmp_path / "a" / "b.png")
    Image.new("RGBA", (30, 20), (9, 9, 8, 0)).save(tmp_path / "a" / "c.png")
    with pytest.raises(NotDistinct, match=r"a/b\.png has one colour in all pixels \(2 such images\)"):
        pixels(tmp_path / "a", distinct=True)
    assert len(pixels(tmp_path / "a")) == 3


def test_images_that_are_the_same_are_named_where_images_must_be_distinct(tmp_path, photographs):
    (tmp_path / "a").mkdir()
    for place, image in enumerate(photographs[:9]):
        image.save(tmp_path / "a" / f"{place}.png")
    photographs[4].save(tmp_path / "a" / "copy.png", compress_level=1)
    photographs[6].convert("RGBA").save(tmp_path / "a" / "other.png")
    with pytest.raises(NotDistinct, match=r"a: 4\.png and copy\.png are the same image \(2 such images\)"):
        pixels(tmp_path / "a", distinct=True)
    assert len(pixels(tmp_path / "a")) == 11


def test_decoding_processes_import_nothing_from_the_working_directory(tmp_path, photographs, monkeypatch):
    """The directory is on the path, as for `python -m`, and in PYTHONPATH."""
    work = tmp_path / "work"
    (work / "images").mkdir(parents=True)
    for place, image in enumerate(photographs[:4]):
        image.save(work / "images" / f"{place}.png")
    for module in ("json", "hashlib", "zipfile", "runpy", "lzma", "PIL", "numpy", "zapbench", "sitecustomize"):
        (work / f"{module}.py").write_text(f"open({str(work / 'was here')!r}, 'w').close()\n")
    monkeypatch.chdir(work)
    monkeypatch.setattr(sys, "path", ["", *sys.path])
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(["", str(work)]))
    monkeypatch.setattr(decode, "ALONE", 0)
    assert pixels(work / "images", size=8).shape == (4, 8, 8, 3)
    assert not (work / "was here").exists()


def test_a_process_that_dies_is_an_error(tmp_path, photographs, monkeypatch):
    (tmp_path / "a").mkdir()
    photographs[0].save(tmp_path / "a" / "a.png")
    monkeypatch.setattr(decode, "ALONE", 0)
    monkeypatch.setattr(decode, "START", "import os; os._exit(3)")
    with pytest.raises(OSError, match="a decoding process ended unexpectedly"):
        pixels(tmp_path / "a")


def test_where_no_process_can_be_started_nothing_counts_as_decoded(tmp_path, photographs, monkeypatch):
    (tmp_path / "a").mkdir()
    photographs[0].save(tmp_path / "a" / "a.png")
    monkeypatch.setattr(decode, "ALONE", 0)

    def refuse(*args, **kwargs):
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(decode.subprocess, "Popen", refuse)
    with pytest.raises(OSError, match="could not be started"):
        pixels(tmp_path / "a")

"""Images and archives that are drawn where real ones are not at hand, in the layouts in which they are published."""

import io
import zipfile
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from zapbench.scenarios.glyphs import LETTERS, face_files

SIZE = 105
ALPHABETS = {"background": (964, 30), "evaluation": (659, 20)}
"""Part of Omniglot -> its characters and alphabets."""
FACES = 4


def letter(character, face, size=SIZE):
    """A black letter in the middle of a white square, in grey."""
    image = Image.new("L", (size, size), 255)
    left, top, right, bottom = face.getbbox(character)
    corner = ((size - left - right) / 2, (size - top - bottom) / 2)
    ImageDraw.Draw(image).text(corner, character, fill=0, font=face)
    return image


def photographs(count=40, size=64):
    """Colour images of different letters on shaded, noisy grounds, all different."""
    generator = np.random.default_rng(5)
    face = ImageFont.truetype(str(face_files()[0]), 40)
    found = []
    for character in LETTERS["latin"][:count]:
        ink = np.asarray(letter(character, face, size))[..., None] / 255.0
        from_, to, colour = generator.integers(0, 256, (3, 3))
        shade = np.linspace(from_, to, size)[:, None]
        noisy = ink * shade + (1 - ink) * colour + generator.normal(0, 8, (size, size, 1))
        found.append(Image.fromarray(noisy.clip(0, 255).astype(np.uint8)))
    return found


def write_omniglot(folder: Path) -> None:
    """Writes the two archives of Omniglot: 1,623 characters, each a turned letter, with 20 one-bit images."""
    folder.mkdir(parents=True, exist_ok=True)
    faces = [ImageFont.truetype(str(path), 64) for path in face_files()[:FACES]]
    characters = [(c, turn) for turn in range(4) for letters in LETTERS.values() for c in letters]
    shifts = np.random.default_rng(6).integers(-8, 9, (len(characters), 20, 2))
    first = 0
    for part, (count, alphabets) in ALPHABETS.items():
        with zipfile.ZipFile(folder / f"images_{part}.zip", "w") as archive:
            for place in range(count):
                character, turn = characters[first + place]
                drawn = [np.rot90(np.asarray(letter(character, face)), turn) for face in faces]
                name = f"images_{part}/Alphabet_{place % alphabets:02}/character{place // alphabets + 1:02}"
                for image in range(20):
                    moved = np.roll(drawn[image % FACES], shifts[first + place, image], (0, 1))
                    content = io.BytesIO()
                    Image.fromarray(moved > 127).save(content, "PNG")
                    archive.writestr(f"{name}/{first + place + 1:04}_{image + 1:02}.png", content.getvalue())
        first += count

"""A contact sheet of a scenario: images of some classes of each pool, trained on and held out."""

import functools
import os
from contextlib import suppress
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from zapbench.scenarios.glyphs import face_files
from zapbench.scenarios.images import Indices
from zapbench.scenarios.scenario import Scenario

TILE = 56
GAP = 2
MARGIN = 20
LABEL = 190
CLASSES = 5
TRAINED_ON = 8
HELD_OUT = 4
INK, FAINT, PAPER = (20, 20, 20), (120, 120, 120), (255, 255, 255)


def draw(scenario: Scenario, path: Path, *, seed: int = 0) -> None:
    """Draws images of pre-training and of a trial of each role for a seed; the file is written atomically.

    Args:
        scenario: whose images.
        path: the PNG file.
        seed: pre-training seed of the split and of the trials.

    Raises:
        OSError: the file cannot be written.
    """
    split = scenario.pretraining(seed)
    parts = [
        ("pre-training", "trained on", "validation", np.array(scenario.pretrain_classes), split.train, split.validation)
    ]
    for role, pool in (("report", "a reported trial"), ("select", "a selection trial")):
        trial = scenario.trial(seed, 0, role=role)  # type: ignore[arg-type]
        parts.append((pool, "trained on", "held out", trial.classes, trial.train, trial.held_out))
    rows = [_part(scenario, *part) for part in parts]
    width = max(row.width for row in rows)
    sheet = Image.new("RGB", (width + 2 * MARGIN, sum(row.height for row in rows) + 2 * MARGIN + 16), PAPER)
    pen = ImageDraw.Draw(sheet)
    text = f"{scenario.name}: {len(scenario.images.classes):,} classes, {len(scenario.images.labels):,} images"
    pen.text((MARGIN, MARGIN - 2), f"{text}, {scenario.size}x{scenario.size} pixels", INK, _font(17, bold=True))
    top = MARGIN + 40
    for row in rows:
        sheet.paste(row, (MARGIN, top))
        top += row.height
    part = path.with_name(f".{path.name}.part")
    try:
        sheet.save(part, "PNG")
        os.replace(part, path)
    except OSError:
        part.unlink(missing_ok=True)
        raise


def _part(
    scenario: Scenario, title: str, left: str, right: str, classes: Indices, train: Indices, held_out: Indices
) -> Image.Image:
    chosen = np.linspace(0, len(classes) - 1, min(CLASSES, len(classes))).astype(int)
    shown, kept = min(TRAINED_ON, train.shape[1]), min(HELD_OUT, held_out.shape[1])
    first = LABEL + shown * (TILE + GAP) + 14
    part = Image.new("RGB", (first + kept * (TILE + GAP), 50 + len(chosen) * (TILE + GAP)), PAPER)
    pen = ImageDraw.Draw(part)
    pen.text((0, 4), title, INK, _font(14, bold=True))
    pen.text((LABEL, 4), f"{left}: {shown} of {train.shape[1]}", FAINT, _font(13))
    if kept:
        pen.text((first, 4), f"{right}: {kept} of {held_out.shape[1]}", FAINT, _font(13))
    for row, place in enumerate(chosen):
        top = 26 + row * (TILE + GAP)
        name = _short(scenario.images.classes[classes[place]])
        face, written = face_for(name)
        pen.text((0, top + TILE / 2), written, INK, ImageFont.truetype(face, 12), anchor="lm")
        for column in range(shown):
            part.paste(_tile(scenario, train[place, column]), (LABEL + column * (TILE + GAP), top))
        for column in range(kept):
            part.paste(_tile(scenario, held_out[place, column]), (first + column * (TILE + GAP), top))
    return part


def _tile(scenario: Scenario, image: int) -> Image.Image:
    pixels = Image.fromarray(np.asarray(scenario.images.pixels[image])).convert("RGB")
    bigger = pixels.width < TILE
    return pixels.resize((TILE, TILE), Image.Resampling.NEAREST if bigger else Image.Resampling.LANCZOS)


def _short(name: str, room: int = 26) -> str:
    parts = name.split("/")
    short = ("/".join(parts[1:]) if len(parts) > 2 else name).replace("_", " ")
    return short if len(short) <= room else f"{short[: room // 2 - 1]}…{short[-(room // 2) :]}"


def face_for(text: str) -> tuple[str, str]:
    """Returns a font that has every character of a text, and the text.

    Where no font of this machine has all of them, characters that DejaVu lacks are written as their code points.
    """
    own = _face("DejaVuSans.ttf")
    lacking = {character for character in text if ord(character) not in _characters(own)}
    if not lacking:
        return own, text
    from matplotlib.font_manager import fontManager

    wanted = set(map(ord, text))
    for entry in fontManager.ttflist:
        with suppress(OSError, RuntimeError, ValueError):
            if "LastResort" not in entry.fname and wanted <= _characters(entry.fname):  # it has a box for everything
                return entry.fname, text
    return own, "".join(f"<U+{ord(c):04X}>" if c in lacking else c for c in text)


@functools.lru_cache(maxsize=256)
def _characters(path: str) -> frozenset[int]:
    """Returns the code points that a font has."""
    from matplotlib.ft2font import FT2Font

    return frozenset(FT2Font(path).get_charmap())


def _face(name: str) -> str:
    return str(next(path for path in face_files() if path.name == name))


def _font(size: int, *, bold: bool = False) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(_face("DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"), size)

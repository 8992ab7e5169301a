"""Glyphs: letters of twelve typefaces, drawn in seconds, so that everything runs without a download.

A class is a letter. An image is the letter in one of the twelve DejaVu faces that matplotlib ships, under a small
random affine transform, drawn at 105x105 and reduced to 28x28 (Lanczos) like Omniglot; paper is 1, ink 0. Scripts are
disjoint: Latin for pre-training, Cyrillic and Armenian for reported trials, Greek and Georgian for selection trials.
So are typefaces: those of the held-out images of a draw are never trained on in that draw.
"""

import importlib.metadata
import importlib.util
import math
from pathlib import Path

import gin
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from zapbench.scenarios.cache import cached
from zapbench.scenarios.images import Images, digest
from zapbench.scenarios.scenario import Scenario
from zapbench.scenarios.sizes import Sizes, sized
from zapbench.seeding import numpy_generator

ORIGINAL_SIZE = 105
IMAGES_PER_CLASS = 20

LETTERS = {
    "latin": (
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuxyzÆÐØÞßæðøþđĦħıĸŁłŊŋŒœŦŧ"
        "ƀƁƂƃƄƅƆƇƈƊƋƌƍƎƏƐƑƒƓƔƕƖƗƘƙƚƛƜƝƞƟƢƣƤƥƦƧƨƩƪƫƬƭƮƱƲƳƴƵƶƷƸƹƺƻƼƽƾƿǀǁǂǃǝǶȜȡȤȥȴȵȶ"
        "ȷȸȹȺȻȼȽȾȿɀɁɃɄɅɌɍɐɑɒɓɔɕɖɗɘɚɛɜɝɞɟɠɢɣɤɥɦɧɨɩɪɫɬɭɮɯɰɱɲɳɴɵɶɷɸɹɺɻɼɽɾɿʀʁʂʃʄʅʆʇʈʉ"
        "ʊʋʍʎʏʐʑʒʓʔʕʖʗʘʙʚʛʜʝʞʟʠʡʢʣʤʥʦʧʨʩʪʫʬʭʮʯᴂᴈᴉᴔᴖᴗᴝᴞᴟᵷᵻᶅⱤⱭⱮⱯⱰⱵⱶⱷⱹⱺⱾⱿꜧꞋꞌꞐꞑꞪ"
    ),
    "greek": ("ΓΔΘΞΠΦΨΩαβγδζηθικλμνξπρςστυφχψωϗϘϙϚϛϝϞϟϠϡϺϻϼϾϿ"),
    "cyrillic": ("ЂЄЉЊЋЏДЖЗИКЛФЦЧШЩЪЫЬЭЮЯбгдилмптфцчщыьэюяђєљњћџѢѣҐґҒғҔҕҖҗҘҙҚқҢңҤҥҪҫҬҭүҰұҲҳҺӃӄӇӈӋӌӏӶӷ"),
    "armenian": ("ԱԲԳԴԵԶԷԸԹԺԻԼԽԾԿՀՁՂՃՄՅՆՇՈՉՊՋՌՍՎՏՐՑՒՔՖբգդեէըթիլխծկձղճմյնշչջռվտրւփքֆ"),
    "georgian": ("აბგდევზთიკლმნოპჟრსტუფქღყშჩცძწჭხჯჰჱჲჳჴჵჶჷჸჹჺ"),
}
"""Letters that all twelve faces have, that do not decompose, and of which no two look alike: of two whose shapes,
cropped and scaled to 20x20 in five faces, correlate above 0.93 (aspect ratios within 25%), the first by code point is
kept."""


@gin.register
@sized(
    classes_per_trial=60,
    classes_per_selection_trial=60,
    pretrain_images=15,
    validation_images=5,
    images_trained_on=15,
    images_held_out=5,
)
def glyphs(
    *,
    sizes: Sizes,
    name: str = "glyphs",
    size: int = 28,
    pretrain_classes: int = 283,
    pretrain_outputs: int = 300,
    transfer_outputs: int = 300,
) -> Scenario:
    """Returns the scenario: 283 Latin letters to pre-train on, 148 letters for reported and 89 for selection trials.

    Args:
        sizes: see `Sizes`; each of its attributes is a parameter.
        name: the scenario's name.
        size: height and width of the network's input, in pixels.
        pretrain_classes: letters to pre-train on, of the 283 Latin ones; fewer are drawn once.
        pretrain_outputs: outputs of the head in pre-training.
        transfer_outputs: outputs of the head in transfer.
    """
    images = load(size)
    scripts = [class_name.split("/")[0] for class_name in images.classes]

    def of(*wanted: str) -> tuple[int, ...]:
        return tuple(i for i, script in enumerate(scripts) if script in wanted)

    latin = of("latin")
    if not 1 <= pretrain_classes <= len(latin):
        raise ValueError(f"{name}: pretrain_classes is {pretrain_classes}; allowed: 1 to {len(latin)}")
    drawn = numpy_generator("glyphs pre-training classes", 1).permutation(latin)[:pretrain_classes]
    return Scenario(
        name=name,
        version=1,
        images=images,
        pretrain_classes=tuple(sorted(int(c) for c in drawn)),
        report_pool=of("cyrillic", "armenian"),
        select_pool=of("greek", "georgian"),
        pretrain_outputs=pretrain_outputs,
        transfer_outputs=transfer_outputs,
        **vars(sizes),
    )


def load(size: int = 28) -> Images:
    """Returns all images, drawn or from the cache."""
    key = {"size": size, "letters": LETTERS, "version": 2} | {
        package: importlib.metadata.version(package) for package in ("matplotlib", "pillow")
    }
    return cached("glyphs", key, lambda: draw_letters(size))


def draw_letters(size: int) -> Images:
    """Draws 20 images of each letter; image `i` has typeface `i % 12`, which is also its group."""
    faces = [ImageFont.truetype(str(path), 64) for path in face_files()]
    generator = numpy_generator("glyphs", 1)
    names = [f"{script}/{letter}" for script, letters in LETTERS.items() for letter in letters]
    originals, small = [], []
    for class_name in names:
        for i in range(IMAGES_PER_CLASS):
            original = _draw(class_name[-1], faces[i % len(faces)], generator)
            originals.append(np.asarray(original))
            small.append(np.asarray(original.resize((size, size), Image.Resampling.LANCZOS)))
    labels = np.repeat(np.arange(len(names)), IMAGES_PER_CLASS)
    groups = np.tile(np.arange(IMAGES_PER_CLASS) % len(faces), len(names))
    return Images(np.stack(small), labels, tuple(names), digest(np.stack(originals), labels), groups)


def face_files() -> list[Path]:
    """Returns the twelve DejaVu faces for text that matplotlib ships, sorted by name."""
    spec = importlib.util.find_spec("matplotlib")  # found, not imported: only its folder is needed
    assert spec is not None
    assert spec.submodule_search_locations is not None
    fonts = Path(spec.submodule_search_locations[0]) / "mpl-data" / "fonts" / "ttf"
    return sorted(path for path in fonts.glob("DejaVu*.ttf") if "Display" not in path.name)


def _draw(letter: str, face: ImageFont.FreeTypeFont, generator: np.random.Generator) -> Image.Image:
    """Draws a centred letter, rotated by up to 8 degrees, scaled, sheared and shifted a little."""
    image = Image.new("L", (ORIGINAL_SIZE, ORIGINAL_SIZE), 255)
    left, top, right, bottom = face.getbbox(letter)
    middle = ORIGINAL_SIZE / 2
    corner = (middle - (left + right) / 2, middle - (top + bottom) / 2)
    ImageDraw.Draw(image).text(corner, letter, fill=0, font=face)
    turn, shear, scale_x, scale_y, move_x, move_y = generator.uniform(
        [-math.radians(8), -0.12, 0.85, 0.85, -8, -8], [math.radians(8), 0.12, 1.15, 1.15, 8, 8]
    )
    matrix = np.array([[math.cos(turn), math.sin(turn) + shear], [-math.sin(turn), math.cos(turn)]])
    matrix /= np.array([[scale_x], [scale_y]])
    offset = np.array([middle, middle]) - matrix @ np.array([middle + move_x, middle + move_y])
    data = (matrix[0, 0], matrix[0, 1], offset[0], matrix[1, 0], matrix[1, 1], offset[1])
    return image.transform(image.size, Image.Transform.AFFINE, data, resample=Image.Resampling.BILINEAR, fillcolor=255)

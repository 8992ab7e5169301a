"""Data sets written from real images, and what of them is left in the cache."""

import io
import resource
import zipfile

from zapbench.scenarios import omni_image
from zapbench.scenarios.roots import cache_root

FEW = {"pretrain_images": 1, "validation_images": 1, "images_trained_on": 1, "images_held_out": 1}


def encoded(image, form="PNG"):
    content = io.BytesIO()
    image.save(content, form, **({"quality": 95} if form == "JPEG" else {}))
    return content.getvalue()


def decoded_copies():
    return [path.name for path in cache_root().glob("[a-z]*")] if cache_root().exists() else []


def half_written():
    return [path.name for path in cache_root().glob(".*") if path.is_dir()] if cache_root().exists() else []


def write_omni(path, photographs, *, images=2, leave_out=(), more=()):
    path.parent.mkdir(parents=True, exist_ok=True)
    contents = [encoded(image.resize((84, 84)), "JPEG") for image in photographs]
    with zipfile.ZipFile(path, "w") as archive:
        for place, c in enumerate([*omni_image.listed(), *more]):
            for i in range(images):
                if c not in leave_out:
                    archive.writestr(f"OmnImage84_20/{c}/{c}_{i}.JPEG", contents[(place + i) % len(contents)])
    return contents


class a_full_disk:  # noqa: N801
    """While it lasts no file can grow beyond a size: writes fail for real."""

    def __init__(self, size):
        self.size = size

    def __enter__(self):
        self.before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (self.size, self.before[1]))

    def __exit__(self, *args):
        resource.setrlimit(resource.RLIMIT_FSIZE, self.before)

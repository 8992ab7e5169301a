"""Computes the table of networks in `docs/networks.md` from the code.

    python docs/networks.py

A test does the same and compares, so the numbers in the document are those of the networks that are trained.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from zapbench.networks.anml import anml
from zapbench.networks.backbones import vgg16_bn
from zapbench.networks.classifier import Classifier, convnet
from zapbench.networks.oml import oml

DOCUMENT = Path(__file__).parent / "networks.md"
MARKED = re.compile(r"(<!-- networks -->\n).*?(<!-- end of networks -->)", re.DOTALL)


def _four_blocks(**sizes: int) -> Classifier:
    """Returns the paper's network for 84x84 images."""
    return convnet(**sizes, filters=256, blocks=4, padding=1, pool_last=True)


def _small_anml(**sizes: int) -> Classifier:
    return anml(**sizes, net=lambda **own: convnet(**own, filters=32), gate_filters=14)


@dataclass(frozen=True)
class Network:
    """A network of the paper, or its small form.

    Attributes:
        name: in words.
        used: the scenarios and strategies that use it.
        make: makes it.
        outputs: outputs of the head in pre-training.
        channels: channels of an image.
        size: height and width of an image.
    """

    name: str
    used: str
    make: Callable[..., Classifier]
    outputs: int
    channels: int
    size: int


NETWORKS = (
    Network("3 blocks of 256 filters", "`omniglot`", convnet, 1000, 1, 28),
    Network("the same with a gate of 112 filters (ANML)", "`omniglot`, `anml`", anml, 1000, 1, 28),
    Network("6 convolutions of 256 filters, 1,024 hidden units (OML)", "`omniglot_84`, `oml`", oml, 1000, 1, 84),
    Network("4 blocks of 256 filters, 64 outputs", "`mini_imagenet`", _four_blocks, 64, 3, 84),
    Network("4 blocks of 256 filters, 1,000 outputs", "`omni_image`", _four_blocks, 1000, 3, 84),
    Network("VGG-16 with batch norm", "`omni_image`, `figure6`", vgg16_bn, 1000, 3, 84),
    Network(
        "3 blocks of 32 filters", "`omniglot_small`", lambda **own: convnet(**own, filters=32), 1000, 1, 28
    ),
    Network("the same with a gate of 14 filters", "`omniglot_small`, `anml_small`", _small_anml, 1000, 1, 28),
    Network("3 blocks of 16 filters", "`glyphs`", lambda **own: convnet(**own, filters=16), 300, 1, 28),
)  # fmt: skip


def table() -> str:
    """Returns the table of networks in Markdown."""
    lines = ["| network | used by | images | outputs | features | parameters of the encoder | of the head | together |"]
    lines.append("| --- | --- | --- | ---: | ---: | ---: | ---: | ---: |")
    for network in NETWORKS:
        with torch.device("meta"):  # shapes alone, no memory
            made = network.make(outputs=network.outputs, channels=network.channels, size=network.size)
        encoder, head = (sum(p.numel() for p in part.parameters()) for part in (made.encoder, made.head))
        images = f"{network.size}x{network.size}, {'grey' if network.channels == 1 else 'colour'}"
        counts = (network.outputs, made.head.in_features, encoder, head, encoder + head)
        lines.append(f"| {network.name} | {network.used} | {images} | {' | '.join(f'{n:,}' for n in counts)} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Writes the table into the document."""
    text = DOCUMENT.read_text(encoding="utf-8")
    DOCUMENT.write_text(MARKED.sub(lambda found: f"{found[1]}\n{table()}\n{found[2]}", text), encoding="utf-8")


if __name__ == "__main__":
    main()

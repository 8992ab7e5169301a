"""Data sets and protocol sizes: what to pre-train on, and the classes and images of each transfer trial.

A scenario file (`gin/scenarios/X.gin`) binds one function that returns a `Scenario`. Each function is in the module of
its name: `omniglot`, `mini_imagenet`, `omni_image`, `tiny_imagenet`, `glyphs`, and `image_folder` for a person's own
images. Data flows in this order: `catalog` (what each data set is) -> `downloads` (get it) -> `image_files`,
`pickles` (find its images) -> `decode`, `cache` (decode once, keep the arrays) -> `Images` -> `Scenario` ->
`PretrainingSplit` and `Trial` -> `ImageTensor`, or Avalanche benchmarks (`streams`).

May import `zapbench.config`, `zapbench.seeding` and `zapbench.text`, and no other part of zapbench. Importing this
package, `catalog` and `roots` imports neither torch nor Avalanche: a name below is imported when it is asked for.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from zapbench.scenarios.catalog import CATALOG
    from zapbench.scenarios.data_set import DataSet
    from zapbench.scenarios.image_tensor import Augmentation, ImageTensor
    from zapbench.scenarios.images import Images
    from zapbench.scenarios.scenario import Scenario
    from zapbench.scenarios.streams import pretraining_experience, stream_of
    from zapbench.scenarios.trial import PretrainingSplit, Role, Trial

__all__ = [
    "CATALOG",
    "Augmentation",
    "DataSet",
    "ImageTensor",
    "Images",
    "PretrainingSplit",
    "Role",
    "Scenario",
    "Trial",
    "pretraining_experience",
    "stream_of",
]

_MODULE_OF = {
    "CATALOG": "catalog",
    "Augmentation": "image_tensor",
    "DataSet": "data_set",
    "ImageTensor": "image_tensor",
    "Images": "images",
    "PretrainingSplit": "trial",
    "Role": "trial",
    "Scenario": "scenario",
    "Trial": "trial",
    "pretraining_experience": "streams",
    "stream_of": "streams",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_MODULE_OF[name]}"), name)

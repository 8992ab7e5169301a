"""Pre-training strategies: Avalanche strategies and plug-ins, one file per method.

A strategy trains a `Classifier` (an encoder with a linear head) on the pre-training images of a scenario. Here are the
paper's algorithms (`IID`, `ASB`, `MetaASB`), zapping as a function (`zap`) and as plug-ins (`ZapEpisodeClass`,
`ZapEvery`), and related methods that reset weights or learn how to learn. Each is registered with gin under its class
name; `gin/strategies/` has a file for each combination that is compared.

Data flow: the experience's images and labels (`data.images_of`) -> batches (`data.Batches`) or episodes
(`episodes.EpisodeSampler`) -> the strategy's updates, with plug-ins called around them -> the trained model.
`base` declares what a strategy may offer beyond Avalanche's interface, and when each member is called.

This package may import `zapbench.networks`, `zapbench.seeding` and `zapbench.text`, and nothing else of zapbench.
"""

from zapbench.strategies.asb import ASB
from zapbench.strategies.base import (
    CountsEffort,
    CountsEpochs,
    CountsUpdates,
    Effort,
    EpisodicStrategy,
    ResumableStrategy,
    StatefulPlugin,
)
from zapbench.strategies.cadence import Cadence
from zapbench.strategies.continual_backprop import ContinualBackprop
from zapbench.strategies.dash import DASH
from zapbench.strategies.episodes import Episode, EpisodeSampler
from zapbench.strategies.episodic import Episodic
from zapbench.strategies.hare_and_tortoise import HareAndTortoise
from zapbench.strategies.iid import IID
from zapbench.strategies.knowledge_evolution import KnowledgeEvolution
from zapbench.strategies.l2 import L2
from zapbench.strategies.layerwise import LayerwiseReinitialisation
from zapbench.strategies.learn_unlearn_relearn import LearnUnlearnRelearn
from zapbench.strategies.linear_probing import LinearProbing
from zapbench.strategies.meta_asb import MetaASB
from zapbench.strategies.redo import ReDo
from zapbench.strategies.reptile import Reptile
from zapbench.strategies.rifle import RIFLE
from zapbench.strategies.selective_reinitialisation import SelectiveReinitialisation
from zapbench.strategies.self_normalized_resets import SelfNormalizedResets
from zapbench.strategies.shrink_and_perturb import ShrinkAndPerturb
from zapbench.strategies.upgd import UPGD
from zapbench.strategies.zapping import ZapEpisodeClass, ZapEvery, zap

__all__ = [
    "ASB",
    "DASH",
    "IID",
    "L2",
    "RIFLE",
    "UPGD",
    "Cadence",
    "ContinualBackprop",
    "CountsEffort",
    "CountsEpochs",
    "CountsUpdates",
    "Effort",
    "Episode",
    "EpisodeSampler",
    "Episodic",
    "EpisodicStrategy",
    "HareAndTortoise",
    "KnowledgeEvolution",
    "LayerwiseReinitialisation",
    "LearnUnlearnRelearn",
    "LinearProbing",
    "MetaASB",
    "ReDo",
    "Reptile",
    "ResumableStrategy",
    "SelectiveReinitialisation",
    "SelfNormalizedResets",
    "ShrinkAndPerturb",
    "StatefulPlugin",
    "ZapEpisodeClass",
    "ZapEvery",
    "zap",
]

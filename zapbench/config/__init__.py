"""Finds, composes, checks and locks gin configurations. Importing it imports neither torch nor Avalanche.

The folder `gin/` is the registry: `gin/scenarios/X.gin`, `gin/strategies/Y.gin`, `gin/transfers/Z.gin` and
`gin/suites/S.gin` are named X, Y, Z and S. Installed packages add names of their own (`installed`), and a path to a
person's own file serves as well. The order of composition is code default < scenario < strategy < transfer < suite <
`-p`.

Text first: `bindings` parses, `registry` and `installed` find files, `reach` decides what a binding concerns. Then
`compose` makes a configuration gin's current one; what it names must be registered (`zapbench.experiment.root`). May
import `zapbench.text` alone.
"""

from zapbench.config.bindings import Binding, parse_bindings
from zapbench.config.compose import compose
from zapbench.config.effect import Effects
from zapbench.config.errors import GIN_ERRORS, configurables, explain, parameters
from zapbench.config.installed import broken
from zapbench.config.outside import outside_code
from zapbench.config.reach import (
    DEVICE,
    OPERATIONAL,
    changed,
    concerning,
    follow,
    hash_of,
    hash_of_configuration,
    names_in_reach,
    reachable,
    reaches_pretraining,
    transfer_configuration,
)
from zapbench.config.registry import (
    bindings_of,
    find,
    kind_of,
    mentioned,
    name_of,
    names,
    origin,
    refuse_clash,
    shipped_names,
    summary,
    written_in,
)
from zapbench.config.sources import KINDS, read_text, root, with_first_names

__all__ = [
    "DEVICE",
    "GIN_ERRORS",
    "KINDS",
    "OPERATIONAL",
    "Binding",
    "Effects",
    "bindings_of",
    "broken",
    "changed",
    "compose",
    "concerning",
    "configurables",
    "explain",
    "find",
    "follow",
    "hash_of",
    "hash_of_configuration",
    "kind_of",
    "mentioned",
    "name_of",
    "names",
    "names_in_reach",
    "origin",
    "outside_code",
    "parameters",
    "parse_bindings",
    "reachable",
    "reaches_pretraining",
    "read_text",
    "refuse_clash",
    "root",
    "shipped_names",
    "summary",
    "transfer_configuration",
    "with_first_names",
    "written_in",
]

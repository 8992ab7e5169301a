"""Tries every training strategy of Avalanche as a transfer, and writes what it found as a table into a document.

    python docs/avalanche_strategies.py

A strategy is made by the general transfer engine and learns four classes, frozen and unfrozen. The table stands in
`docs/contenders.md`, between `<!-- strategies of Avalanche -->` and `<!-- end of strategies -->`; a test compares it with
what it finds.
"""

import copy
import inspect
import random
import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import avalanche.training.supervised
import numpy as np
import torch
from avalanche.training.templates import SupervisedTemplate
from avalanche.training.templates.base import BaseTemplate

from zapbench.networks.classifier import convnet
from zapbench.scenarios.images import Images
from zapbench.scenarios.scenario import Scenario
from zapbench.transfer.avalanche import run_strategy
from zapbench.transfer.features import Features
from zapbench.transfer.plan import TrialPlan, learner_for
from zapbench.transfer.protocol import sequential_transfer

DOCUMENT = Path(__file__).parent / "contenders.md"
MARKED = re.compile(r"(<!-- strategies of Avalanche -->\n)(.*?)(<!-- end of strategies -->)", re.DOTALL)

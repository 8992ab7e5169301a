"""What a pre-training strategy may offer beyond Avalanche's interface, and what holds where it offers nothing.

Any Avalanche strategy pre-trains. It is made with `model`, `optimizer`, `criterion`, `evaluator` and `device`, trained
once by `strategy.train(experience)`, and must set `loss`, `mb_output` and `mb_y` in each training iteration, as
Avalanche's templates do. Each protocol below is an optional member; a strategy or plug-in satisfies it by having the
attribute, without inheriting from anything here. Code that runs strategies uses the functions below, which know the
defaults, and never looks for an attribute itself.

Members of a strategy, with their defaults:

- `updates(images)`, called once before training: `train_epochs` times the batches per epoch.
- `epochs(images)`, called once before training, where plug-ins act at an interval: `train_epochs`.
- `effort(images)`, called once after training: one gradient step per update, each image once per epoch.
- `first_update`, set before training resumes: an interrupted run starts from the beginning.
- `random_images`, read once before the trial update: any number of images is enough.
- `episode_class`, read by plug-ins in every episode: no episodes, so `ZapEpisodeClass` is refused.
- `PLUGIN_CLASS`, read before training: what Avalanche's template declares.

Members of a plug-in: `state_dict()`, called at each checkpoint, and `load_state_dict(state)`, called when training
resumes. By default a plug-in has no state.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol, runtime_checkable


class Effort(NamedTuple):
    """What training takes: images seen (repeats counted) and gradient steps (inner steps included)."""

    images: int
    gradient_steps: int


@runtime_checkable
class CountsUpdates(Protocol):
    """A strategy whose number of updates does not follow from epochs and batch size."""

    def updates(self, images: int) -> int:
        """Returns how many training iterations there will be.

        Called once, before training. Curves, checkpoints and progress are counted in these updates. A strategy must
        fire `after_training_iteration` exactly as often.

        Args:
            images: size of the training set.
        """
        ...


@runtime_checkable
class CountsEpochs(Protocol):
    """A strategy whose number of epochs depends on the size of the training set."""

    def epochs(self, images: int) -> int:
        """Returns how many epochs there will be.

        Called once, before training, to refuse plug-ins whose interval in epochs is longer.

        Args:
            images: size of the training set.
        """
        ...


@runtime_checkable
class CountsEffort(Protocol):
    """A strategy that makes more than one gradient step per update, or sees images other than once per epoch."""

    def effort(self, images: int) -> tuple[int, int]:
        """Returns images seen and gradient steps of a complete training (see `Effort`).

        Called once, after training, for the columns `images seen` and `gradient steps` of a table. Of a run that
        diverged, the share of its updates that were made is taken.

        Args:
            images: size of the training set.
        """
        ...


@runtime_checkable
class ResumableStrategy(Protocol):
    """A strategy that can start at a later update, and then trains as if it had never been interrupted.

    Attributes:
        first_update: updates that earlier training made, 0 in a new strategy. It is set before `train` when training
            resumes from a checkpoint. Model, optimiser, `clock.train_iterations`, plug-ins and global generators are
            restored for the strategy; it must skip that many updates of its own schedule of batches or episodes.
    """

    first_update: int


@runtime_checkable
class DrawsRandomImages(Protocol):
    """A strategy that needs a training set of a certain size.

    Attributes:
        random_images: images drawn per update without replacement, so the fewest images a training set may have. Read
            once, before one update is tried on a part of the training set.
    """

    random_images: int


@runtime_checkable
class EpisodicStrategy(Protocol):
    """A strategy that trains in episodes, each on one class.

    Attributes:
        episode_class: class of the current episode, set before `before_training_iteration` fires. Read by plug-ins
            in any hook: `ZapEpisodeClass`, and cadences counted in episodes.
    """

    episode_class: int


@runtime_checkable
class DeclaresPluginClass(Protocol):
    """A strategy with hooks of its own.

    Attributes:
        PLUGIN_CLASS: base class whose hooks the strategy promises to fire, such as Avalanche's `SupervisedPlugin` or
            `SupervisedMetaLearningPlugin`. Read once, before training: a plug-in with a hook that this class declares
            and one update does not fire is refused, for it would do nothing. Avalanche's templates set it.
    """

    PLUGIN_CLASS: type


@runtime_checkable
class StatefulPlugin(Protocol):
    """A plug-in with state that must survive an interruption, such as running averages.

    A plug-in that draws from `seeding.torch_generator(name, seed, update)` needs no state for its draws.
    """

    def state_dict(self) -> dict[str, Any]:
        """Returns the state as tensors and plain Python values (it is read back with `weights_only=True`).

        Called whenever a checkpoint is written: after a training iteration, at most every
        `run.checkpoint_seconds`, and when a run is stopped.
        """
        ...

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restores what `state_dict` returned.

        Called once when training resumes, after `before_training_exp` of this plug-in and before the first iteration.
        """
        ...


def updates_of(strategy: Any, images: int) -> int:
    """Returns the updates of a complete training on `images` images."""
    if isinstance(strategy, CountsUpdates):
        return strategy.updates(images)
    batches = -(-images // strategy.train_mb_size)
    return int(strategy.train_epochs * batches)


def epochs_of(strategy: Any, images: int) -> int:
    """Returns the epochs of a complete training on `images` images."""
    counts = isinstance(strategy, CountsEpochs) and callable(strategy.epochs)  # `epochs` may be a plain number, too
    return int(strategy.epochs(images) if counts else strategy.train_epochs)


def effort_of(strategy: Any, images: int) -> Effort:
    """Returns the effort of a complete training on `images` images."""
    if isinstance(strategy, CountsEffort):
        return Effort(*strategy.effort(images))
    return Effort(int(strategy.train_epochs * images), updates_of(strategy, images))


def can_resume(strategy: Any) -> bool:
    """Returns whether the strategy can start at a later update."""
    return isinstance(strategy, ResumableStrategy)


def resume_at(strategy: Any, update: int) -> None:
    """Tells a strategy that `update` updates were made before.

    Raises:
        ValueError: the strategy cannot resume.
    """
    if not isinstance(strategy, ResumableStrategy):
        raise ValueError(f"{type(strategy).__name__} cannot resume: it has no `first_update`")
    strategy.first_update = update


def fewest_images(strategy: Any) -> int:
    """Returns the size of the smallest training set that the strategy can train on."""
    return strategy.random_images if isinstance(strategy, DrawsRandomImages) else 1


def plugin_class_of(strategy: Any) -> type:
    """Returns the base class whose hooks the strategy promises to fire; `object` where it declares none."""
    return strategy.PLUGIN_CLASS if isinstance(strategy, DeclaresPluginClass) else object


def plugin_states(strategy: Any) -> dict[str, dict[str, Any]]:
    """Returns the state of each stateful plug-in, by its position in `strategy.plugins` (as text).

    Raises:
        ValueError: a plug-in has one of `state_dict` and `load_state_dict` and lacks the other.
    """
    for plugin in strategy.plugins:
        methods = [name for name in ("state_dict", "load_state_dict") if callable(getattr(plugin, name, None))]
        if len(methods) == 1:
            raise ValueError(
                f"{type(plugin).__name__} has {methods[0]} alone; state needs state_dict and load_state_dict"
            )
    stateful = [(i, plugin) for i, plugin in enumerate(strategy.plugins) if isinstance(plugin, StatefulPlugin)]
    return {str(i): plugin.state_dict() for i, plugin in stateful}


def load_plugin_states(strategy: Any, states: Mapping[str, dict[str, Any]]) -> None:
    """Gives each plug-in the state that `plugin_states` returned.

    Raises:
        ValueError: a plug-in at one of the positions keeps no state.
    """
    for position, state in states.items():
        plugin = strategy.plugins[int(position)]
        if not isinstance(plugin, StatefulPlugin):
            raise ValueError(f"a checkpoint has state for {type(plugin).__name__}, which has no `load_state_dict`")
        plugin.load_state_dict(state)

"""The trials of one pre-trained model under one transfer: those that are missing are run and recorded."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import gin
import numpy as np
import torch
from torch import nn

from zapbench import config
from zapbench.experiment.context import Context
from zapbench.experiment.record import write_trial
from zapbench.experiment.resources import ResourceMeter
from zapbench.leaderboard import contract
from zapbench.leaderboard.contract import Closing, Description
from zapbench.leaderboard.read.parse import description_of, status_of
from zapbench.networks.classifier import Classifier, last_layers
from zapbench.networks.gradients import uses_manual_gradients
from zapbench.scenarios.trial import Role
from zapbench.seeding import seed_global_state
from zapbench.tasks import TrialSpec
from zapbench.transfer.avalanche import StrategyFactory, rehearse, run_strategy
from zapbench.transfer.closed_form import HeadFactory, check_protocol, run_closed_form, start_from_least_squares
from zapbench.transfer.fast import FastEngine, chunks, fast_engine_for
from zapbench.transfer.features import Features, Inputs
from zapbench.transfer.metrics import Trajectory
from zapbench.transfer.plan import OptimizerFactory, TrialPlan, learner_for, trial_generator
from zapbench.transfer.protocol import Protocol, count_steps
from zapbench.transfer.reference import run_trial


@dataclass(frozen=True)
class Transfer:
    """How trials learn new classes.

    Attributes:
        protocol: the protocol.
        optimizer: called with the learner's parameters and `lr`.
        strategy: makes the Avalanche strategy that learns; None for plain fine-tuning.
        head: makes a head that is computed in closed form, without gradient steps; None where there are steps.
        memory: bytes that trials may take which are learned in one call of a fast engine.
    """

    protocol: Protocol
    optimizer: OptimizerFactory
    strategy: StrategyFactory | None = None
    head: HeadFactory | None = None
    memory: float = 1e9

    def __post_init__(self) -> None:
        """Checks that what learns fits the protocol.

        Raises:
            ValueError: it does not.
        """
        if self.head is None:
            return
        check_protocol(self.protocol)
        if self.strategy is not None:
            raise ValueError("run.transfer_head and run.transfer_strategy are both bound; allowed: one of them")


@dataclass
class Trials:
    """The trials of one pre-trained model under one transfer.

    Attributes:
        context: the job they belong to.
        model: the pre-trained model; None where pre-training diverged, and so every trial of it.
        shown: the model that descriptions speak of.
        transfer: how they learn.
        shared_seconds: each trial's share of what is computed once for all that are run together.
    """

    context: Context
    model: Classifier | None
    shown: Classifier
    transfer: Transfer
    shared_seconds: float = 0.0

    @property
    def protocol(self) -> Protocol:
        """How new classes are learned."""
        return self.transfer.protocol

    def rehearse(self) -> None:
        """Tries the strategy that learns the new classes, where there is one; nothing is written.

        Raises:
            ValueError: it cannot learn under this protocol, one of its plug-ins would have no effect, or the model has
                fewer layers than are to learn.
        """
        if self.protocol.layers is not None:
            last_layers(self.shown, self.protocol.layers)
        self.transfer.optimizer([torch.nn.Parameter(torch.zeros(1))], lr=self.context.job.trials[0].rate)
        if self.transfer.head is not None:
            self.transfer.head(features=self.shown.head.in_features, outputs=1)
        if self.transfer.strategy is None:
            return
        context, spec = self.context, self.context.job.trials[0]
        trial = context.scenario.trial(context.job.run.seed, 0, role=spec.role)
        images = context.scenario.tensor(device=context.device)
        inputs: Inputs = images
        if self.protocol.frozen:
            first = [part[:2].reshape(-1) for part in (trial.train, trial.held_out)]
            inputs = Features(self.shown.encoder, images, torch.from_numpy(np.concatenate(first)))
        outputs = self.protocol.outputs(context.scenario)
        learner = learner_for(self.shown, self.protocol, outputs, torch.Generator(), inputs)
        plan = TrialPlan(trial, learner, self.protocol, self.transfer.optimizer, spec.rate, [])
        rehearse(self.transfer.strategy, inputs, plan)

    def run(self) -> None:
        """Runs the trials that are not there yet."""
        context, protocol = self.context, self.protocol
        facts = context.scenario.facts() | protocol.facts()
        described = {spec: self._describe(spec, facts) for spec in context.job.trials}
        missing = [spec for spec in context.job.trials if not self._is_done(spec, described[spec])]
        inputs: Inputs = context.scenario.tensor(device=context.device)
        if missing and self.model is not None and protocol.frozen:
            cost = ResourceMeter(context.device)
            inputs = self.features(self.model, missing)
            self.shared_seconds = cost.seconds() / len(missing)
        plain = self.transfer.strategy is None and self.transfer.head is None
        if plain and isinstance(inputs, Features):
            engine = fast_engine_for(protocol, self.transfer.optimizer, inputs, {spec.rate for spec in missing})
            if engine is not None:
                self._sweep(engine, inputs, {spec: replace(described[spec], engine=engine.name) for spec in missing})
                missing = []
        for number, spec in enumerate(missing):

            def tell(done: int = number, name: str = config.name_of(spec.transfer)) -> None:
                context.options.progress(f"transfer {name}", done, len(missing))

            tell()
            self._trial(spec, described[spec], inputs, tell)
            if number == len(missing) - 1:
                tell(len(missing))

    def _describe(self, spec: TrialSpec, facts: Mapping[str, Any]) -> Description:
        scenario, protocol = self.context.scenario, self.protocol
        return self.context.describe(
            self.shown,
            spec,
            transfer=config.name_of(spec.transfer),
            protocol=protocol.name,
            learner=protocol.learner,
            rate=spec.rate,
            role=spec.role,
            transfer_seed=spec.seed,
            engine=self._engine(),
            fingerprint=contract.fingerprint(facts),
            fingerprint_fields=facts,
            outputs=protocol.outputs(scenario),
            draws=scenario.draws,
            common_classes=0.0 if scenario.select_pool else 1.0,
        )

    def _engine(self) -> str:
        if self.transfer.strategy is not None:
            return "avalanche"
        if self.transfer.head is not None:
            return "closed form"
        if self.protocol.frozen:
            return "features"
        fast = self.protocol.layers is None and uses_manual_gradients(self.shown, self.protocol.images_per_step)
        return "written out" if fast else "model"

    def _is_done(self, spec: TrialSpec, description: Description) -> bool:
        path = self.context.folder / spec.folder / contract.EVENT_FILE
        if status_of(path) not in contract.ENDED:
            return False
        held = description_of(path)
        names = ("config_hash", "fingerprint", "rate", "role", "transfer_seed", "pretrain_seed", "transfer")
        return held is not None and all(getattr(held, name) == getattr(description, name) for name in names)

    def features(self, model: Classifier, trials: list[TrialSpec]) -> Features:
        """Returns a frozen encoder's features of the images of some trials."""
        context = self.context
        context.options.progress("features", 0, 1)
        wanted = []
        for seed, role in sorted({(t.seed, t.role) for t in trials}):
            trial = context.scenario.trial(context.job.run.seed, seed, role=role)
            wanted += [trial.train.reshape(-1), trial.held_out.reshape(-1)]
        images = context.scenario.tensor(device=context.device)
        return Features(model.encoder, images, torch.cat([torch.from_numpy(w.copy()) for w in wanted]))

    def _trial(self, spec: TrialSpec, description: Description, inputs: Inputs, tell: Callable[[], None]) -> None:
        cost = ResourceMeter(self.context.device)
        trajectory = Trajectory(diverged="pre-training diverged")
        failure = ""
        try:
            if self.model is not None:
                plan = self.plan(self.model, spec, inputs)
                trajectory = self.learn(spec, inputs, plan, tell)
        except OSError:
            raise
        except Exception as error:
            failure = _in_a_line(error)
        self._record(spec, description, trajectory, failure, (cost.seconds(), cost.peak_memory()))

    def _sweep(self, engine: FastEngine, features: Features, missing: Mapping[TrialSpec, Description]) -> None:
        """Lets an engine learn trials a chunk at a time; those of a chunk are recorded when it is done."""
        specs = sorted(missing, key=lambda spec: (spec.role, spec.seed, spec.rate))
        done = 0

        def tick() -> None:
            self.context.options.progress(f"transfer {config.name_of(specs[0].transfer)}", done, len(specs))

        tick()
        for plans in chunks(
            engine, features, (self.plan(self.shown, spec, features) for spec in specs), self.transfer.memory
        ):
            cost = ResourceMeter(self.context.device)
            trajectories, failure = [Trajectory() for _ in plans], ""
            try:
                trajectories = engine.transfer(features, plans, tick)
            except OSError:
                raise
            except Exception as error:
                failure = _in_a_line(error)
            costs = (cost.seconds() / len(plans), cost.peak_memory())
            for spec, trajectory in zip(specs[done:], trajectories):
                self._record(spec, missing[spec], trajectory, failure, costs)
            done += len(plans)
            tick()

    def _record(
        self,
        spec: TrialSpec,
        description: Description,
        trajectory: Trajectory,
        failure: str,
        costs: tuple[float, float],
    ) -> None:
        """Records a trial: `failure` says why it has no trajectory; `costs` are seconds and bytes."""
        context = self.context
        folder = context.folder / spec.folder
        closing = Closing(contract.FINISHED)
        if failure:
            closing = Closing(contract.FAILED, failure)
            context.outcome.failed[str(folder)] = failure
        elif trajectory.diverged:
            closing = Closing(contract.DIVERGED, trajectory.diverged)
            context.outcome.diverged[str(folder)] = closing.reason
        seconds, peak_memory = costs
        named = {contract.SECONDS: seconds + self.shared_seconds, contract.PEAK_MEMORY: peak_memory}
        write_trial(folder, description, gin.operative_config_str(), trajectory, named, closing)

    def learn(
        self, spec: TrialSpec, inputs: Inputs, plan: TrialPlan, tell: Callable[[], None] = lambda: None
    ) -> Trajectory:
        """Learns and measures a trial; nothing is recorded."""
        if self.transfer.head is not None:
            return run_closed_form(inputs, plan, tell=tell)
        seed_global_state("contender", *self._key(spec))
        if self.transfer.strategy is None:
            return run_trial(inputs, plan)
        return run_strategy(self.transfer.strategy, inputs, plan, tell=tell)

    def plan(self, model: Classifier, spec: TrialSpec, inputs: Inputs) -> TrialPlan:
        """Returns what an engine needs to learn a trial; all but the rate is the same at every rate."""
        scenario, protocol = self.context.scenario, self.protocol
        trial = scenario.trial(self.context.job.run.seed, spec.seed, role=spec.role)
        generator = trial_generator("head", *self._key(spec))
        outputs = protocol.outputs(scenario)
        learner: nn.Module
        if self.transfer.head is not None:
            assert isinstance(inputs, Features)
            learner = self.transfer.head(features=inputs.width, outputs=outputs, generator=generator)
        else:
            learner = learner_for(model, protocol, outputs, generator, inputs)
        if protocol.start == "lstsq":
            start_from_least_squares(learner, inputs, trial)
        return TrialPlan(
            trial,
            learner,
            protocol,
            self.transfer.optimizer,
            spec.rate,
            protocol.points(count_steps(protocol, *trial.train.shape), spec.role),
            order=trial_generator("order", *self._key(spec)),
            draw=(spec.role, spec.seed),
        )

    def _key(self, spec: TrialSpec) -> tuple[str, int, int, Role]:
        return (self.context.scenario.name, self.context.job.run.seed, spec.seed, spec.role)


def _in_a_line(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".splitlines()[0]

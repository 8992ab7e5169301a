"""The trials of one pre-trained model under one transfer: those that are missing are run and recorded."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import gin
import numpy as np
import torch
from torch import nn

from zapbench import config
from zapbench.experiment.context import Place
from zapbench.experiment.record import write_trial
from zapbench.experiment.resources import Cost
from zapbench.leaderboard import contract
from zapbench.leaderboard.contract import Closing, Description
from zapbench.leaderboard.read.parse import description_of, status_of
from zapbench.networks.classifier import Classifier, last_layers
from zapbench.networks.gradients import uses_manual_gradients
from zapbench.scenarios.scenario import Role, Trial
from zapbench.seeding import seed_global_state
from zapbench.tasks import TrialSpec
from zapbench.transfer import avalanche as contenders
from zapbench.transfer.avalanche import StrategyFactory, run_contender
from zapbench.transfer.closed_form import start_from_least_squares
from zapbench.transfer.fast import Engine, Task, chunks, engine_for, rule_of
from zapbench.transfer.protocol import Protocol, count_steps
from zapbench.transfer.reference import (
    Features,
    Inputs,
    OptimizerFactory,
    Trajectory,
    learner_for,
    run_trial,
    trial_generator,
)


@dataclass
class Trials:
    """What the trials of a job share.

    Attributes:
        place: where they are recorded.
        model: the pre-trained model; None where pre-training diverged, and so every trial of it.
        shown: the model that descriptions speak of.
        protocol: how new classes are learned.
        optimizer: gets the learner's parameters and `lr`.
        strategy: makes the Avalanche strategy that learns; None for plain fine-tuning.
        memory: bytes that trials which are learned together may take.
    """

    place: Place
    model: Classifier | None
    shown: Classifier
    protocol: Protocol
    optimizer: OptimizerFactory
    strategy: StrategyFactory | None = None
    memory: float = 1e9

    def check(self) -> None:
        """Rehearses what learns the new classes, where it is more than a plain loop; nothing is written.

        Raises:
            ValueError: it cannot learn under this protocol, a plug-in of it would do nothing, or the model has fewer
                layers than are to learn.
        """
        if self.protocol.layers is not None:
            last_layers(self.shown, self.protocol.layers)
        if self.strategy is None:
            return
        place = self.place
        trial = place.scenario.trial(place.job.run.seed, 0, role=place.job.trials[0].role)
        images = place.scenario.tensor(device=place.device)
        inputs: Inputs = images
        if self.protocol.frozen:
            first = [part[:2].reshape(-1) for part in (trial.train, trial.held_out)]
            inputs = Features(self.shown.encoder, images, torch.from_numpy(np.concatenate(first)))
        learner = learner_for(
            self.shown, self.protocol, self.protocol.outputs(place.scenario), torch.Generator(), inputs
        )
        contenders.check(self.strategy, learner, inputs, trial, self.protocol, self.optimizer)

    def run(self) -> None:
        """Runs the trials that are not there yet."""
        place, protocol = self.place, self.protocol
        facts = place.scenario.facts() | protocol.facts()
        described = {spec: self._describe(spec, facts) for spec in place.job.trials}
        missing = [spec for spec in place.job.trials if not self._is_done(spec, described[spec])]
        inputs: Inputs = place.scenario.tensor(device=place.device)
        if missing and self.model is not None and protocol.frozen:
            inputs = self.features(self.model, missing)
        if self.strategy is None and isinstance(inputs, Features):
            engine = engine_for(protocol, self.optimizer, inputs, {spec.rate for spec in missing})
            if engine is not None:
                self._sweep(engine, inputs, {spec: replace(described[spec], engine=engine.name) for spec in missing})
                missing = []
        for number, spec in enumerate(missing):

            def tell(number: int = number, name: str = config.name_of(spec.transfer)) -> None:
                place.job.progress(f"transfer {name}", number, len(missing))

            tell()
            self._trial(spec, described[spec], inputs, tell)
        place.job.progress("transfer", len(missing), len(missing))

    def _describe(self, spec: TrialSpec, facts: Mapping[str, Any]) -> Description:
        scenario, protocol = self.place.scenario, self.protocol
        return self.place.describe(
            self.shown,
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
        if self.strategy is not None:
            return "avalanche"
        if self.protocol.frozen:
            return "features"
        fast = self.protocol.layers is None and uses_manual_gradients(self.shown, self.protocol.images_per_step)
        return "written out" if fast else "model"

    def _is_done(self, spec: TrialSpec, description: Description) -> bool:
        path = self.place.folder / spec.folder / contract.EVENT_FILE
        if status_of(path) not in (contract.FINISHED, contract.DIVERGED):
            return False
        held = description_of(path)
        names = ("config_hash", "fingerprint", "rate", "role", "transfer_seed", "pretrain_seed", "transfer")
        return held is not None and all(getattr(held, name) == getattr(description, name) for name in names)

    def features(self, model: Classifier, trials: list[TrialSpec]) -> Features:
        """Returns a frozen encoder's features of the images of some trials."""
        place = self.place
        place.job.progress("features", 0, 1)
        wanted = []
        for seed, role in sorted({(t.seed, t.role) for t in trials}):
            trial = place.scenario.trial(place.job.run.seed, seed, role=role)
            wanted += [trial.train.reshape(-1), trial.held_out.reshape(-1)]
        images = place.scenario.tensor(device=place.device)
        return Features(model.encoder, images, torch.cat([torch.from_numpy(w.copy()) for w in wanted]))

    def _trial(self, spec: TrialSpec, description: Description, inputs: Inputs, tell: Callable[[], None]) -> None:
        cost = Cost(self.place.device)
        trajectory = Trajectory(diverged="pre-training diverged")
        failure = ""
        try:
            if self.model is not None:
                trajectory = self._learn(self.model, spec, inputs, tell)
        except OSError:
            raise
        except Exception as error:
            failure = _in_a_line(error)
        self._record(spec, description, trajectory, failure, (cost.seconds(), cost.peak_memory()))

    def _sweep(self, engine: Engine, features: Features, missing: Mapping[TrialSpec, Description]) -> None:
        """Lets an engine learn trials a chunk at a time; those of a chunk are recorded when it is done."""
        specs = sorted(missing, key=lambda spec: (spec.role, spec.seed, spec.rate))
        done = 0

        def tick() -> None:
            self.place.job.progress(f"transfer {config.name_of(specs[0].transfer)}", done, len(specs))

        tick()
        for tasks in chunks(engine, features, (self._task(spec, features) for spec in specs), self.memory):
            cost = Cost(self.place.device)
            trajectories, failure = [Trajectory() for _ in tasks], ""
            try:
                trajectories = engine.transfer(features, tasks, tick)
            except OSError:
                raise
            except Exception as error:
                failure = _in_a_line(error)
            costs = (cost.seconds() / len(tasks), cost.peak_memory())
            for spec, trajectory in zip(specs[done:], trajectories):
                self._record(spec, missing[spec], trajectory, failure, costs)
            done += len(tasks)
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
        place = self.place
        folder = place.folder / spec.folder
        closing = Closing(contract.FINISHED)
        if failure:
            closing = Closing(contract.FAILED, failure)
            place.outcome.failed[str(folder)] = failure
        elif trajectory.diverged:
            closing = Closing(contract.DIVERGED, trajectory.diverged)
            place.outcome.diverged[str(folder)] = closing.reason
        named = dict(zip((contract.SECONDS, contract.PEAK_MEMORY), costs))
        write_trial(folder, description, gin.operative_config_str(), trajectory, named, closing)

    def _learn(self, model: Classifier, spec: TrialSpec, inputs: Inputs, tell: Callable[[], None]) -> Trajectory:
        return self.learn(spec, self.draw(model, spec, inputs), inputs, tell)

    def learn(
        self,
        spec: TrialSpec,
        drawn: tuple[Trial, nn.Module, list[int]],
        inputs: Inputs,
        tell: Callable[[], None] = lambda: None,
    ) -> Trajectory:
        """Learns what `draw` gave, and measures it; nothing is recorded."""
        trial, learner, points = drawn
        if self.strategy is not None:
            seed_global_state("contender", *self._key(spec))
            return run_contender(
                self.strategy,
                learner,
                inputs,
                trial,
                self.protocol,
                optimizer=self.optimizer,
                rate=spec.rate,
                points=points,
                generator=trial_generator("order", *self._key(spec)),
                tell=tell,
            )
        return run_trial(
            learner,
            inputs,
            trial,
            self.protocol,
            optimizer=self.optimizer,
            rate=spec.rate,
            points=points,
            generator=trial_generator("order", *self._key(spec)),
        )

    def _task(self, spec: TrialSpec, features: Features) -> Task:
        trial, head, points = self.draw(self.shown, spec, features)
        rule = rule_of(self.optimizer, spec.rate)
        assert rule is not None
        assert isinstance(head, nn.Linear)
        return Task(trial, head, rule, points, self.protocol.passes, draw=(spec.role, spec.seed))

    def draw(self, model: Classifier, spec: TrialSpec, inputs: Inputs) -> tuple[Trial, nn.Module, list[int]]:
        """Returns a trial, what learns it and where it is measured: the same for every rate."""
        scenario, protocol = self.place.scenario, self.protocol
        trial = scenario.trial(self.place.job.run.seed, spec.seed, role=spec.role)
        generator = trial_generator("head", *self._key(spec))
        learner = learner_for(model, protocol, protocol.outputs(scenario), generator, inputs)
        if protocol.start == "lstsq":
            start_from_least_squares(learner, inputs, trial)
        return trial, learner, protocol.points(count_steps(protocol, *trial.train.shape), spec.role)

    def _key(self, spec: TrialSpec) -> tuple[str, int, int, Role]:
        return (self.place.scenario.name, self.place.job.run.seed, spec.seed, spec.role)


def _in_a_line(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".splitlines()[0]

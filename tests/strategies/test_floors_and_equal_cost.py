"""What a benchmark compares with: no pre-training, and i.i.d. pre-training of the same cost."""

import pytest
import torch

from zapbench import config
from zapbench.experiment import checkpoints
from zapbench.experiment.context import Options
from zapbench.experiment.root import configured, execute
from zapbench.leaderboard import contract
from zapbench.leaderboard.read.parse import read_file
from zapbench.strategies.iid_at_equal_cost import IIDAtEqualCost, equal_epochs
from zapbench.tasks import Job, RunSpec, TrialSpec

SMALL = ["convnet.filters = 4", "glyphs.pretrain_images = 2", "glyphs.validation_images = 0", "IID_BATCH = 128"]
EPISODES = ["ASB_EPISODES = 10", "K = 3", "R = 8"]


def spec(strategy, *bindings):
    kept = config.concerning("glyphs", strategy, ["slda"], config.parse_bindings([*SMALL, *bindings]))
    return RunSpec("glyphs", strategy, 0, bindings=kept)


def test_an_untrained_run_has_a_checkpoint_of_the_first_weights_a_finished_record_and_trials(tmp_path):
    run = spec("untrained", "glyphs.classes_per_trial = 5")
    job = Job(run, (TrialSpec("slda", 1.0, "report", 0),))
    outcome = execute(job, Options(tmp_path))
    assert not outcome.failed
    record = read_file(tmp_path / run.folder / contract.EVENT_FILE)
    assert record.closing.status == contract.FINISHED
    assert record.curves[contract.GRADIENT_STEPS] == ([0], [0.0])
    assert record.curves[contract.IMAGES_SEEN] == ([0], [0.0])
    kept = checkpoints.load(tmp_path / run.folder / checkpoints.FILE).model
    first = configured(job, Options(tmp_path)).pretraining.new_model().state_dict()
    assert kept.keys() == first.keys()
    assert all(torch.equal(value, first[name]) for name, value in kept.items())
    trial = read_file(next(tmp_path.rglob(f"report=0/{contract.EVENT_FILE}")))
    assert trial.closing.status == contract.FINISHED
    assert trial.description.engine == "closed form"


@pytest.mark.parametrize("name", ["iid_equal_steps", "iid_equal_images", "iid_equal_steps_zap", "iid_equal_images_zap"])
def test_a_run_of_equal_cost_costs_what_asb_does_up_to_an_epoch(tmp_path, name):
    asb, iid = spec("asb", *EPISODES), spec(name, *EPISODES, "ZAP_EVERY = 1")
    for run in (asb, iid):
        execute(Job(run, ()), Options(tmp_path))
    tag = contract.GRADIENT_STEPS if "steps" in name else contract.IMAGES_SEEN
    costs = [read_file(tmp_path / run.folder / contract.EVENT_FILE).curves for run in (asb, iid)]
    expected, found = (curves[tag][1][-1] for curves in costs)
    assert expected == (10 * 4 if "steps" in name else 10 * (3 + 11))
    epoch = costs[1][contract.IMAGES_SEEN][1][-1] / (282 * 2) if "steps" in name else 1
    assert expected <= found < expected + (5 if "steps" in name else 283 * 2)
    assert epoch >= 1


def test_an_interval_in_epochs_is_compared_with_the_epochs_that_there_will_be(tmp_path):
    """40 steps, 5 an epoch: 8 epochs."""
    for every in (7, 8):
        run = spec("iid_equal_steps_zap", *EPISODES, f"ZAP_EVERY = {every}", "ZapEvery.unit = 'epochs'")
        experiment = configured(Job(run, ()), Options(tmp_path))
        if every == 7:
            experiment.rehearse()
            continue
        with pytest.raises(ValueError, match="every is 8 epochs, and training takes 8 epochs; allowed: 1 to 7"):
            experiment.rehearse()


def test_epochs_are_rounded_up():
    sizes = {"episodes": 10, "inner_images": 3, "random_images": 8}
    assert equal_epochs("steps", 100, 50, **sizes) == 20  # 40 steps, 2 an epoch
    assert equal_epochs("steps", 101, 50, **sizes) == 14  # 3 an epoch
    assert equal_epochs("images", 100, 50, **sizes) == 2  # 10 x (3 + 3 + 8) = 140 images
    assert equal_epochs("images", 1000, 50, **sizes) == 1


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"unit": "seconds"}, "unit is 'seconds'; allowed: steps, images"),
        ({"episodes": 0}, "episodes must be at least 1, got 0"),
        ({"random_images": -1}, "random_images must be at least 0, got -1"),
    ],
)
def test_impossible_numbers_are_refused(wrong, words):
    with pytest.raises(ValueError, match=words):
        IIDAtEqualCost(**{"unit": "steps", "episodes": 1, "inner_images": 1, "random_images": 0} | wrong)


def test_flops_are_three_forward_passes_for_each_image(tmp_path):
    run = spec("asb", *EPISODES)
    execute(Job(run, ()), Options(tmp_path))
    curves = read_file(tmp_path / run.folder / contract.EVENT_FILE).curves
    # Images of 28 x 28; 3x3 convolutions without padding, poolings of 2x2 between them; 36 features and 300 outputs.
    products = 26**2 * 9 * 1 * 4 + 11**2 * 9 * 4 * 4 + 3**2 * 9 * 4 * 4 + 36 * 300
    assert curves[contract.FLOPS][1][-1] == pytest.approx(3 * 2 * products * 10 * (3 + 11))

"""Configurations: every shipped one binds, and what is wrong is said in one line."""

import itertools

import gin
import pytest

from zapbench import config
from zapbench.config import compose, parse_bindings
from zapbench.experiment.context import Options
from zapbench.experiment.pretraining import Pretraining
from zapbench.experiment.root import configured, execute, register_everything
from zapbench.tasks import Job, RunSpec, TrialSpec
from zapbench.transfer.avalanche import UNVERIFIED


@pytest.mark.parametrize("kind", config.KINDS)
def test_every_configuration_starts_with_a_line_that_says_what_it_is(kind):
    assert config.names(kind)
    for name in config.names(kind):
        assert len(config.summary(kind, name)) > 20, name


def test_a_default_that_no_paper_was_seen_to_give_is_marked_in_the_docstring_and_in_the_list():
    """Both ways: what a docstring says, the files that name it say in the line that `zapbench list` prints.

    A file that names the suite which selected its settings says that instead, and so does one that is the same for all
    layers.
    """
    register_everything()
    wrapped = {name: gin.config._REGISTRY.get_match(name).wrapped for name in config.configurables()}
    marked = {name for name, thing in wrapped.items() if "unverified" in (thing.__doc__ or "")}
    assert {"ShrinkAndPerturb", "ContinualBackprop", "Reptile", "RIFLE", "later_layer_forgetting"} <= marked
    assert {"SynapticIntelligencePlugin", "MASPlugin", "AGEMPlugin", "GDumbWhenAsked"} <= marked
    marked |= UNVERIFIED
    for kind in ("strategies", "transfers"):
        for name in config.names(kind):
            said = "unverified" in config.summary(kind, name)
            tuned = kind == "transfers" and "`omniglot_small_" in config.summary(kind, name.removesuffix("_unfrozen"))
            assert said == (bool(config.mentioned(kind, name) & marked) and not tuned), name


SCENARIOS, TRANSFERS = config.names("scenarios"), config.names("transfers")
CONTENDERS = [name for name in TRANSFERS if "run.transfer_strategy" in config.bindings_of("transfers", name)]
PLAIN = [name for name in TRANSFERS if name not in CONTENDERS]
STRATEGIES = [name for name in config.names("strategies") if name != "pretrained"]


NARROW = (
    "K = 2", "R = 2", "IID_BATCH = 4", "convnet.filters = 4", "oml.filters = 4", "anml.gate_filters = 4"
)  # fmt: skip


def some_transfers(scenario, strategy):
    """Few enough to be fast; in all strategies a scenario meets every transfer, and in all scenarios a strategy every
    plain one."""
    first = SCENARIOS.index(scenario) + STRATEGIES.index(strategy)
    places = range(first, first + len(PLAIN), len(SCENARIOS))
    return [*(PLAIN[place % len(PLAIN)] for place in places), CONTENDERS[first % len(CONTENDERS)]]


TOO_SHORT = {
    (scenario, "iid_zap_every10")
    for scenario in ("glyphs", "omniglot", "omniglot_84", "omniglot_all", "omni_image_100")
}
"""Trainings of at most ten epochs."""


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_every_scenario_and_strategy_bind_and_can_be_made_and_both_with_every_transfer(
    scenario, strategy, provide, tmp_path, monkeypatch
):
    provide(scenario)
    made = {}

    def once(name):  # network and strategy are the same for every transfer
        make = getattr(Pretraining, name)

        def keep(pretraining):
            if name not in made:
                made[name] = make(pretraining)
            return made[name]

        monkeypatch.setattr(Pretraining, name, keep)

    once("new_model")
    once("rehearse")
    run = RunSpec(scenario, strategy, 0, bindings=parse_bindings(NARROW))
    if (scenario, strategy) in TOO_SHORT:
        with pytest.raises(ValueError, match="zapping would never act: every is 10 epochs, and training takes"):
            configured(Job(run), Options(tmp_path)).rehearse()
        return
    for transfer in some_transfers(scenario, strategy):
        configured(Job(run, (TrialSpec(transfer, 0.01, "report", 0),)), Options(tmp_path)).rehearse()
    assert not list(tmp_path.iterdir()), "a check writes nothing"


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_every_scenario_binds_with_every_strategy_and_every_transfer(scenario):
    for strategy, transfer in itertools.product(STRATEGIES, TRANSFERS):
        compose(scenario, strategy, transfer, (), pretrain_seed=0)
        assert gin.query_parameter("run.strategy").configurable.name
        assert gin.query_parameter("run.transfer").configurable.name


def test_no_two_configurations_are_left_out():
    pairs = list(itertools.product(SCENARIOS, STRATEGIES))
    assert {(a, t) for a, b in pairs for t in some_transfers(a, b)} == set(itertools.product(SCENARIOS, TRANSFERS))
    assert {(b, t) for a, b in pairs for t in some_transfers(a, b)} >= set(itertools.product(STRATEGIES, PLAIN))


FEW = (
    "glyphs.classes_per_trial = 2", "glyphs.pretrain_images = 2", "glyphs.images_trained_on = 2",
    "glyphs.validation_images = 0", "K = 2", "R = 2", "ASB_EPISODES = 2", "META_EPISODES = 2", "IID_EPOCHS = 1",
)  # fmt: skip


@pytest.mark.parametrize("strategy", ["oml", "oml_zap", "anml", "anml_zap"])
def test_the_papers_networks_take_a_few_steps_at_full_size(strategy, tmp_path):
    """All strategies are tried by `zapbench check`, which narrows networks."""
    run_few_steps(strategy, "sequential", tmp_path)


@pytest.mark.parametrize("transfer", TRANSFERS)
def test_every_transfer_learns_a_little_on_glyphs(transfer, tmp_path):
    run_few_steps("iid", transfer, tmp_path)


def run_few_steps(strategy, transfer, out):
    trials = (TrialSpec(transfer, 0.001, "report", 0),)
    run = RunSpec("glyphs", strategy, 0, bindings=parse_bindings(FEW))
    outcome = execute(Job(run, trials), Options(out))
    assert not outcome.failed
    assert not outcome.diverged
    assert len(list(out.rglob("*tfevents*"))) == 2


@pytest.mark.parametrize(
    ("bindings", "words"),
    [
        (["ASBB.episodes = 3"], "no configurable 'ASBB', did you mean ASB"),
        (["ASB.episode = 3"], "ASB has no parameter 'episode', did you mean episodes"),
        (["glyphs.classes = 3"], "glyphs has no parameter 'classes'"),
    ],
)
def test_an_unknown_binding_is_answered_with_the_nearest_names(bindings, words):
    with pytest.raises(ValueError, match=words) as caught:
        compose("glyphs", "asb", None, parse_bindings(bindings), pretrain_seed=0)
    assert "\n" not in str(caught.value)


def test_a_macro_that_no_file_binds_is_named_with_what_to_add(tmp_path):
    (tmp_path / "mine.gin").write_text("run.scenario = @glyphs()\nMODEL = @convnet\n")
    with pytest.raises(ValueError, match=r"OUTER_LR is not bound: add a line `OUTER_LR = VALUE` to the scenario's"):
        configured(Job(RunSpec(str(tmp_path / "mine.gin"), "untrained", 0)), Options(tmp_path / "out"))


@pytest.mark.parametrize(
    ("kind", "name", "words"),
    [
        ("scenarios", "omniglott", "no scenario 'omniglott', did you mean omniglot"),
        ("strategies", "asb_zapp", "no strategy 'asb_zapp', did you mean asb_zap"),
        ("transfers", "sequentil", "no transfer 'sequentil', did you mean sequential"),
        ("suites", "demoo", "no suite 'demoo', did you mean demo"),
        ("suites", "my/own.gin", "no file my/own.gin"),
    ],
)
def test_an_unknown_name_is_answered_with_the_nearest_names(kind, name, words):
    with pytest.raises(ValueError, match=words):
        config.find(kind, name)


@pytest.mark.parametrize("line", ["ASB.episodes", "ASB.episodes = ", "import os", "= 3", "ASB.episodes = [1, 2"])
def test_what_is_not_a_binding_is_refused_and_nothing_is_imported(line):
    with pytest.raises(ValueError, match="binding"):
        parse_bindings([line])


def test_bindings_are_brought_into_one_form_and_the_last_of_a_key_wins():
    found = parse_bindings(["ASB.episodes=3", "outer/torch.optim.Adam.lr = 1e-3", "ASB.episodes  =  4", "X.y=@a/B()"])
    assert [str(b) for b in found] == ["outer/Adam.lr = 0.001", "ASB.episodes = 4", "X.y = @a/B()"]


def test_a_configurations_hash_sees_what_reaches_pretraining_and_nothing_else():
    def hash_of(*lines):
        return config.hash_of("glyphs", "asb", parse_bindings(lines))

    for line in ("ASB.episodes = 3", "K = 3", "outer/Adam.lr = 1.0", "convnet.filters = 3", "ASB.plugins = [@X()]"):
        assert hash_of(line) != hash_of(), line
    for line in ("IID_EPOCHS = 3", "transfer/Adam.lr = 1.0", "run.device = 'cuda'", "ASB.episodes = %ASB_EPISODES"):
        assert hash_of(line) == hash_of(), line


def test_later_bindings_win():
    compose("glyphs", "asb", None, parse_bindings(["ASB.episodes = 3"]), pretrain_seed=0)
    assert gin.query_parameter("ASB.episodes") == 3
    assert gin.query_parameter("PRETRAIN_SEED/gin.macro.value") == 0


def test_a_composed_configuration_is_locked():
    compose("glyphs", "asb", None, (), pretrain_seed=0)
    with pytest.raises(RuntimeError, match="locked"):
        gin.parse_config("K = 3")


def test_a_binding_concerns_a_run_only_where_its_files_name_it():
    bindings = parse_bindings(["ASB.episodes = 3", "IID.epochs = 1", "K = 3", "convnet.filters = 4"])

    def kept(strategy):
        return [b.key for b in config.concerning("glyphs", strategy, ["sequential"], bindings)]

    assert kept("asb") == ["ASB.episodes", "K", "convnet.filters"]
    assert kept("iid") == ["IID.epochs", "K", "convnet.filters"]


def test_a_binding_may_bring_another_into_reach():
    bindings = parse_bindings(["other.filters = 4", "MODEL = @other"])
    assert len(config.concerning("glyphs", "asb", [], bindings)) == 2


def test_bindings_equal_to_the_shipped_ones_change_nothing():
    bindings = parse_bindings(["ASB.inner_lr = %INNER_LR", "ASB.episodes = 3"])
    assert [b.key for b in config.changed("glyphs", "asb", bindings)] == ["ASB.episodes"]


def test_the_pretraining_seed_is_no_binding():
    with pytest.raises(ValueError, match="would not count: the pre-training seed is that of --seed"):
        config.parse_bindings(["PRETRAIN_SEED = 7"])

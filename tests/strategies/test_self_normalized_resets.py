"""Self-normalized resets: silences, thresholds from them, and which units are reset."""

import pytest
import torch
from support.trained import SGD, narrow, train

from zapbench.strategies.self_normalized_resets import SelfNormalizedResets, Silences


def silences(units, threshold, longest=6):
    zero = torch.zeros(units, dtype=torch.int64)
    return Silences(zero, zero + threshold, zero.new_zeros(units, longest))


def test_a_silence_is_counted_when_it_ends():
    of = silences(2, 100)
    for fired in ([True, False], [False, False], [False, True], [True, True]):
        of.observe(torch.tensor(fired))
    assert of.age.tolist() == [0, 0]
    assert of.counts.tolist() == [[0, 1, 0, 0, 0, 0], [0, 1, 0, 0, 0, 0]], "one silence of two updates each"


def test_units_are_reset_when_their_age_reaches_their_threshold_and_start_again():
    of = silences(3, 2)
    of.threshold[2] = 5
    due = []
    for _ in range(3):
        of.observe(torch.tensor([True, False, False]))
        due.append(of.take_due().tolist())
    assert due == [[], [1], []]
    assert of.age.tolist() == [0, 1, 3]
    assert of.counts.tolist()[1] == [0, 1, 0, 0, 0, 0]


def test_thresholds_become_the_percentile_of_silences_or_grow():
    of = silences(4, 5)
    of.counts[0] = torch.tensor([8, 0, 1, 1, 0, 0])  # 80% are of 1 update, 90% of up to 3
    of.counts[1] = torch.tensor([0, 0, 0, 0, 0, 9])  # all longer than the threshold: it doubles, up to the longest
    of.counts[2] = torch.tensor([0, 2, 0, 0, 0, 0])
    of.adapt(percentile=0.9, factor=2)
    assert of.threshold.tolist() == [3, 6, 2, 1], "a unit that was never silent may be silent for one update"
    assert not of.counts.any()


def with_a_silent_filter():
    model = narrow(outputs=6, channels=1, size=28)
    with torch.no_grad():
        model.encoder[1].weight[2], model.encoder[1].bias[2] = 0.0, -1.0
    return model


@pytest.mark.parametrize("optimizer", ["adam", SGD])
def test_a_silent_filter_is_reset_and_others_are_not(tiny, optimizer):
    strategy = train(tiny, SelfNormalizedResets(threshold=3), model=with_a_silent_filter(), optimizer=optimizer)
    weights = [seen["encoder.1.weight"] for seen in strategy.before.weights]
    assert [bool(w[2] > 0.9) for w in weights[:5]] == [False, False, False, True, True], "reset after the third update"
    assert (strategy.before.weights[3]["encoder.4.weight"][:, 2] == 0).all(), "outgoing weights"
    assert strategy.before.weights[3]["encoder.4.weight"][:, [0, 1, 3]].any()


class Watch(SelfNormalizedResets):
    """Keeps the first layer's thresholds and moments, set to 1, after each update; gives filter 0 silences."""

    def before_training_exp(self, strategy, *args, **kwargs):
        super().before_training_exp(strategy)
        strategy.thresholds, strategy.moments = [], []

    def after_training_iteration(self, strategy, *args, **kwargs):
        if strategy.clock.train_iterations == 3:
            self._silences[0].counts[0, :3] = torch.tensor([6, 3, 1])
        moments = strategy.optimizer.state[strategy.model.encoder[0].weight]["exp_avg_sq"].fill_(1.0)
        super().after_training_iteration(strategy)
        strategy.thresholds.append(self._silences[0].threshold.tolist())
        strategy.moments.append(moments.flatten(1).unique(dim=1).tolist())


def test_thresholds_are_adapted_at_the_interval_by_percentile_and_factor(tiny):
    """Of filter 0's silences 60% took one update, 90% up to two; filter 2 was reset after three; others always fire."""
    plugin = Watch(threshold=3, adapt_every=4, percentile=0.8, factor=5)
    strategy = train(tiny, plugin, model=with_a_silent_filter())
    assert strategy.thresholds[:4] == [[3, 3, 3, 3]] * 3 + [[2, 1, 15, 1]]


def test_moments_of_reset_filters_alone_are_cleared(tiny):
    strategy = train(tiny, Watch(threshold=3), model=with_a_silent_filter())
    assert strategy.moments[:3] == [4 * [[1.0]], 4 * [[1.0]], [[1.0], [1.0], [0.0], [1.0]]], "after the third update"


def test_a_stricter_rule_finds_silent_filters_where_the_authors_finds_none(tiny):
    plain = train(tiny, SelfNormalizedResets(threshold=1000)).model.state_dict()
    by_authors = train(tiny, SelfNormalizedResets(threshold=2)).model.state_dict()
    stricter = train(tiny, SelfNormalizedResets(threshold=2, firing=0.97)).model.state_dict()
    assert all(torch.equal(plain[name], by_authors[name]) for name in plain)
    assert not torch.equal(plain["encoder.0.weight"], stricter["encoder.0.weight"])


@pytest.mark.parametrize(
    "wrong",
    [{"threshold": 0}, {"adapt_every": 0}, {"factor": 0}, {"percentile": 1.0}, {"longest": 5}, {"firing": 1.0}],
)
def test_impossible_settings_are_refused_in_words(wrong):
    with pytest.raises(ValueError, match=r"^self-normalized resets: .* allowed: [^\n]*$"):
        SelfNormalizedResets(**wrong)

"""Claims held against made logs: each rule beside a case that it decides each way, and files that are refused."""

import dataclasses
import json
import math

import pytest
from support.made_logs import FACTS, describe, write

from zapbench import config
from zapbench.cli.main import main
from zapbench.experiment.record import PretrainRecord
from zapbench.leaderboard import contract
from zapbench.leaderboard.claims.judge import judge, papers_values
from zapbench.leaderboard.claims.schema import SHIPPED, read_claims
from zapbench.leaderboard.contract import Closing
from zapbench.leaderboard.decide.curves import curves
from zapbench.leaderboard.decide.metrics import metric_named
from zapbench.leaderboard.decide.power import (
    seeds_for_interval,
    seeds_for_trend,
    seeds_to_detect,
    standardised_difference,
)
from zapbench.leaderboard.decide.tables import tables
from zapbench.leaderboard.read.load import load
from zapbench.leaderboard.show.claims import missing, statement, summary, to_markdown
from zapbench.leaderboard.show.figures import bars, trajectories, write_figures
from zapbench.leaderboard.show.page import write_site

PAPERS_SIZE = FACTS | {"scenario": "omniglot", "classes_per_trial": 600, "pretrain_classes": "964 classes abc"}
START = """
[setups.omniglot]
scenarios = ["omniglot"]
other_sizes = ["omniglot_small"]
encoders = ["convnet3x256"]
pretrain_classes = 964
classes_per_trial = 600
names_at_other_sizes = { anml = "anml_small" }

[[claims]]
id = "one"
setup = "omniglot"
protocol = "sequential, frozen"
source = ["figure 2"]
"""


def record(folder, scores, *, scenario="omniglot", facts=PAPERS_SIZE, encoder="convnet3x256", validation=None):
    """Writes logs: method -> a score a pre-training seed, in percent."""
    for method, seeds in scores.items():
        for seed, score in enumerate(seeds):
            about = {
                "method": method,
                "scenario": scenario,
                "seed": seed,
                "facts": facts,
                "encoder": encoder,
                "outputs": 1000,
            }
            write(folder, [0.9, score / 100], **about)
            if validation is not None:
                _pretrained(folder, about, validation[method][seed] / 100)
    return folder


def _pretrained(folder, about, validation):
    blank = dict.fromkeys(("transfer", "rate", "role", "transfer_seed", "protocol"))
    description = dataclasses.replace(describe(**about), fingerprint="", **blank)
    with PretrainRecord(folder / "runs" / about["method"] / str(about["seed"]), description, "gin") as file:
        file.point({contract.VALIDATION_ACCURACY: validation}, step=1)
        file.finish(Closing(contract.FINISHED), {}, step=1)


def held(folder, claim, tmp_path):
    """Returns the findings on one claim, given by the lines of its TOML."""
    path = tmp_path / "claims.toml"
    path.write_text(START + claim)
    logs = load(folder)
    return judge(read_claims(path), logs, tables(logs))


def verdict(scores, claim, tmp_path, **more):
    (finding,) = held(record(tmp_path / "logs", scores, **more), claim, tmp_path)
    return finding.verdict


NUMBER = 'kind = "number"\nmethods = ["asb"]\nvalue = {}\n'


@pytest.mark.parametrize(
    ("value", "more", "expected"),
    [
        (42.0, "", "reproduced"),
        (43.7, "", "reproduced"),  # mean 42, s = 0.5, t(0.975, 2) = 4.303: 4.303 x 0.5 x sqrt(1/3 + 1/3) = 1.757
        (43.8, "", "refuted"),
        (43.7, "spread = 0.4\n", "refuted"),  # the interval itself is 1.242 wide: 42 + 1.242 + 0.4 = 43.642
        (43.6, "spread = 0.4\n", "reproduced"),
        (40.0, "spread = 0.4\n", "refuted"),
    ],
)
def test_a_number_is_held_against_the_interval_widened_by_its_spread(value, more, expected, tmp_path):
    found = verdict({"asb": [41.5, 42.0, 42.5], "iid": [10, 11, 12]}, NUMBER.format(value) + more, tmp_path)
    assert found.verdict == expected
    assert found.value == pytest.approx(42.0, abs=1e-3)
    assert (found.low, found.high) == pytest.approx((42 - 1.2421, 42 + 1.2421), abs=1e-3)


def test_a_wide_interval_decides_nothing_and_says_how_many_seeds_would(tmp_path):
    found = verdict({"asb": [38.0, 42.0, 46.0]}, NUMBER.format(45.0), tmp_path)
    assert found.verdict == "undecided"
    assert found.needed > 3
    assert verdict({"asb": [38.0, 42.0, 46.0]}, NUMBER.format(80.0), tmp_path).verdict == "refuted"


def test_two_seeds_decide_nothing(tmp_path):
    for claim in (NUMBER.format(42.0), 'kind = "order"\nbetter = ["asb"]\nworse = ["iid"]\n'):
        found = verdict({"asb": [42.0, 42.1], "iid": [10.0, 10.1]}, claim, tmp_path)
        assert (found.verdict, found.seeds, found.needed) == ("undecided", 2, 3)
        assert found.why == "2 pre-training seeds"


DIFFERENCE = 'kind = "difference"\nmethods = ["asb_zap", "asb"]\nvalue = {}\n'


@pytest.mark.parametrize(("value", "expected"), [(14.4, "reproduced"), (-14.4, "refuted"), (20.0, "refuted")])
def test_a_difference_is_the_first_methods_score_minus_the_seconds(value, expected, tmp_path):
    scores = {"asb": [42.0, 42.5, 43.0], "asb_zap": [56.0, 57.0, 58.0]}
    assert verdict(scores, DIFFERENCE.format(value), tmp_path).verdict == expected


ORDER = 'kind = "order"\nbetter = ["asb_zap"]\nworse = ["asb", "iid"]\n'


@pytest.mark.parametrize(
    ("scores", "expected"),
    [
        ({"asb_zap": [57, 58, 59], "asb": [42, 43, 44], "iid": [10, 11, 12]}, "reproduced"),
        ({"asb_zap": [57, 58, 59], "asb": [70, 71, 72], "iid": [10, 11, 12]}, "refuted"),
        ({"asb_zap": [57, 58, 59], "asb": [55, 57, 59], "iid": [10, 11, 12]}, "undecided"),
    ],
)
def test_an_order_is_decided_by_the_pairs_of_the_table(scores, expected, tmp_path):
    found = verdict(scores, ORDER, tmp_path)
    assert found.verdict == expected
    assert (found.needed is None) == (expected != "undecided")
    (table,) = tables(load(tmp_path / "logs"))
    pairs = [pair for pair in table.pairs if "asb_zap" in (pair.first, pair.second)]
    better = [pair.significant and (pair.difference > 0) == (pair.first == "asb_zap") for pair in pairs]
    assert all(better) == (expected == "reproduced")


SAME = 'kind = "significance"\nmethods = ["meta_asb", "iid"]\nsignificant = {}\n'
ALIKE = {"meta_asb": [42.0, 42.4, 42.2], "iid": [42.0, 42.1, 42.5]}
APART = {"meta_asb": [72.0, 72.4, 72.2], "iid": [42.0, 42.1, 42.5]}
VAGUE = {"meta_asb": [40.0, 44.0, 48.0], "iid": [38.0, 42.0, 46.0]}
MORE = {"meta_asb": [43.456, 45.0, 46.544], "iid": [40.456, 42.0, 43.544]}
"""Difference 3 [-0.5, 6.5]: t(0.975, 4) = 2.776, 2.776 x 1.544 x sqrt(2 / 3) = 3.5; beyond the margin on one side."""
LESS = {"meta_asb": MORE["iid"], "iid": MORE["meta_asb"]}


@pytest.mark.parametrize(
    ("scores", "significant", "expected"),
    [
        (ALIKE, "false", "reproduced"), (APART, "false", "refuted"), (VAGUE, "false", "undecided"),
        (MORE, "false", "undecided"), (LESS, "false", "undecided"), (MORE, "true", "undecided"),
        (ALIKE, "true", "refuted"), (APART, "true", "reproduced"), (VAGUE, "true", "undecided"),
    ],
)  # fmt: skip
def test_no_difference_is_reproduced_only_where_a_large_one_is_excluded(scores, significant, expected, tmp_path):
    found = verdict(scores, SAME.format(significant), tmp_path)
    assert found.verdict == expected


CORRELATION = 'kind = "correlation"\nmethods = ["a", "b", "c", "d", "e", "f"]\nranks = false\n'
GROWING = {name: [10 * place, 10 * place + 0.5, 10 * place + 1] for place, name in enumerate("abcdef", start=1)}


@pytest.mark.parametrize(
    ("validation", "expected"),
    [
        (GROWING, "refuted"),
        (GROWING | {"a": GROWING["b"], "b": GROWING["a"]}, "reproduced"),
        (GROWING | {"a": [5, 35, 25], "b": [20, 20.5, 21], "f": [1, 20, 99]}, "undecided"),
    ],
)
def test_one_significant_inversion_shows_that_validation_does_not_rank(validation, expected, tmp_path):
    found = verdict(GROWING, CORRELATION, tmp_path, validation=validation)
    assert found.verdict == expected


def test_an_inversion_that_is_significant_in_validation_alone_is_none(tmp_path):
    scores = GROWING | {"a": [10.0, 15.0, 20.0], "b": [14.0, 16.0, 18.0]}
    validation = GROWING | {"a": GROWING["b"], "b": GROWING["a"]}
    found = verdict(scores, CORRELATION, tmp_path, validation=validation)
    assert found.verdict == "refuted"
    assert found.why.startswith("no significant inversion")


TREND = 'kind = "trend"\nmethods = ["a", "b", "c", "d"]\n'


@pytest.mark.parametrize(
    ("places", "expected"), [("abcd", "reproduced"), ("dcba", "refuted"), ("bdac", "undecided"), ("abdc", "reproduced")]
)
def test_a_trend_is_decided_by_the_rank_correlation_of_seed_means(places, expected, tmp_path):
    scores = {name: [10 + 2 * place, 10.5 + 2 * place, 11 + 2 * place] for place, name in enumerate(places)}
    assert verdict(scores, TREND, tmp_path).verdict == expected


def test_another_size_is_named_and_stands_beside_the_verdict(tmp_path):
    facts = PAPERS_SIZE | {"scenario": "omniglot_small", "classes_per_trial": 100, "pretrain_classes": "100 classes b"}
    small = {"scenario": "omniglot_small", "facts": facts, "encoder": "convnet3x32"}
    logs = record(tmp_path / "logs", {"anml_small": [20, 21, 22], "iid": [9, 10, 11]}, **small)
    (finding,) = held(logs, 'kind = "number"\nmethods = ["anml"]\nvalue = 41.5\n', tmp_path)
    assert finding.size == ("convnet3x32", "100 classes to pre-train on", "100 classes a trial")
    assert statement(finding.claim, finding.names) == "accuracy of anml_small"
    assert "| refuted (another size) | accuracy of anml_small |" in to_markdown([finding])
    assert summary([finding]) == "0 reproduced, 1 refuted, 0 undecided, all at another size than the paper's."


def test_a_shorter_pretraining_among_the_tuned_settings_is_another_size_and_a_rate_is_not(tmp_path):
    for method, setting in (
        ("asb", {"ASB.episodes": "90", "ASB.inner_lr": "0.1", "outer/Adam.lr": "0.1"}),
        ("iid", {"outer/Adam.lr": "0.1"}),
    ):
        for seed, score in enumerate((42, 43, 44)):
            about = {"scenario": "omniglot", "facts": PAPERS_SIZE, "encoder": "convnet3x256", "outputs": 1000}
            write(tmp_path / "logs", [0.9, score / 100], method=method, setting=setting, seed=seed, **about)
    (asb,) = held(tmp_path / "logs", NUMBER.format(42.0), tmp_path)
    (iid,) = held(tmp_path / "logs", 'kind = "number"\nmethods = ["iid"]\nvalue = 42.0\n', tmp_path)
    assert asb.size == ("asb: ASB.episodes=90",)
    assert iid.size == ()
    logs = load(tmp_path / "logs")
    assert papers_values(tables(logs)[0], logs) == {"iid": 42.0}


def test_an_encoder_of_another_kind_is_no_other_size(tmp_path):
    logs = record(tmp_path / "logs", {"asb": [42, 43, 44]}, encoder="vgg16_bn")
    (finding,) = held(logs, NUMBER.format(42.0), tmp_path)
    assert finding.table is None
    assert "one kind of encoder" in finding.verdict.why


def test_claims_without_logs_are_undecided_and_say_what_is_missing(tmp_path, capsys):
    logs = record(tmp_path / "logs", {"asb": [42, 43, 44]})
    second = START[START.index("[[claims]]") :].replace('"one"', '"two"') + NUMBER.format(43.0)
    found = held(logs, f"{ORDER}\n{second}", tmp_path)
    assert [finding.verdict.verdict for finding in found] == ["undecided", "reproduced"]
    assert missing(found) == ["undecided: no logs of asb_zap, iid: one"]
    assert main(["claims", str(logs), "--claims", str(tmp_path / "claims.toml")]) == 0
    shown = capsys.readouterr().out
    assert "undecided: no logs of asb_zap, iid: one" in shown
    assert "1 reproduced, 0 refuted, 0 undecided; 1 without logs here." in shown


def test_logs_that_no_claim_is_about_end_in_one_line(tmp_path, capsys):
    write(tmp_path / "logs", [0.5], scenario="elsewhere")
    assert main(["claims", str(tmp_path / "logs")]) == 2
    said = capsys.readouterr().err
    assert "they hold elsewhere: sequential, frozen transfer; claims are about omniglot" in said
    assert said.count("\n") == 1


@pytest.mark.parametrize(
    ("claim", "words"),
    [
        ('kind = "number"\nmethods = ["asbb"]\nvalue = 1\n', "claim one: method 'asbb' is unknown, did you mean asb"),
        ('kind = "nummer"\nmethods = ["asb"]\nvalue = 1\n', "kind 'nummer' is unknown, did you mean number?"),
        ('kind = "number"\nvalue = 1\n', "needs methods"),
        ('kind = "number"\nmethods = ["asb", "iid"]\nvalue = 1\n', "2 methods; a claim of the kind number has 1"),
        ('kind = "number"\nmethods = ["asb"]\nvalue = nan\n', "value is nan; allowed: at most 100 points"),
        ('kind = "number"\nmethods = ["asb"]\nvalue = "1"\n', "value is '1'; allowed: a number"),
        ('kind = "number"\nmethods = ["asb"]\nvalue = 1\nspread = -1\n', "spread is -1.0; it is at least 0"),
        ('kind = "number"\nmethods = ["asb"]\nvalue = 1\nbetter = ["iid"]\n', "has no better"),
        ('kind = "order"\nbetter = ["asb"]\nworse = ["asb"]\n', "a method is named twice"),
        ('kind = "order"\nbetter = []\nworse = ["asb"]\n', "better is []; allowed: a list of texts"),
        ('kind = "number"\nmethods = ["asb"]\nvalue = 1\nfigur = 2\n', "field 'figur' is unknown"),
        ('kind = "number"\nmethods = ["asb"]\nvalue = 1\n[[claims]]\nid = "two"\n', "claim two: kind, setup"),
        ("[[claims", "is not TOML"),
    ],
)
def test_a_bad_claim_is_refused_in_one_line(claim, words, tmp_path, capsys):
    path = tmp_path / "claims.toml"
    path.write_text(START + claim)
    assert main(["claims", str(tmp_path), "--claims", str(path)]) == 2
    said = capsys.readouterr().err
    assert words in said
    assert said.count("\n") == 1


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        ('["omniglot"]', '["omniglott"]', "setup omniglot: scenario 'omniglott' is unknown, did you mean omniglot"),
        ('"figure 2"', '"figure 22"', "source 'figure 22' is unknown"),
        ('setup = "omniglot"', 'setup = "imagenet"', "setup 'imagenet' is unknown"),
        ('"sequential, frozen"', '"sequentially"', "protocol 'sequentially' is unknown"),
        ("pretrain_classes = 964", "pretrain_classes = 0", "allowed: a whole number from 1 to 1,000,000,000"),
        ("pretrain_classes = 964", f"pretrain_classes = {10**400}", "allowed: a whole number from 1 to"),
        ("pretrain_classes = 964", "", "setup omniglot: pretrain_classes missing"),
        ('anml = "anml_small"', 'asb = "anml_smal"', "method 'anml_smal' is unknown"),
    ],
)
def test_bad_conditions_of_a_claim_are_refused_in_one_line(before, after, words, tmp_path, capsys):
    path = tmp_path / "claims.toml"
    path.write_text(START.replace(before, after) + NUMBER.format(1))
    assert main(["claims", str(tmp_path), "--claims", str(path)]) == 2
    said = capsys.readouterr().err
    assert words in said
    assert said.count("\n") == 1
    assert len(said) < 500 + len(str(path))


@pytest.mark.parametrize(
    "number",
    ["9" * 400, "-" + "9" * 400, "9" * 5000, "0x" + "f" * 5000, "[[0x" + "f" * 5000 + "]]", "'" + "9" * 5000 + "'"],
)
@pytest.mark.parametrize("field", ["value", "unverified", "methods", "id", "kind", "x"])
def test_numbers_and_texts_without_end_are_refused_in_one_short_line(number, field, tmp_path, capsys):
    path = tmp_path / "claims.toml"
    lines = {"kind": "'number'", "methods": "['asb']", "value": "1"} | {field: number}
    start = START.replace('id = "one"\n', "" if field == "id" else 'id = "one"\n')
    path.write_text(start + "".join(f"{name} = {value}\n" for name, value in lines.items()))
    assert main(["claims", str(tmp_path), "--claims", str(path)]) == 2
    said = capsys.readouterr().err
    assert str(path) in said or "claim " in said
    assert said.count("\n") == 1
    assert len(said) < 700 + len(str(path))


def test_a_file_that_is_none_is_refused_in_one_line(tmp_path, capsys):
    (tmp_path / "nested.toml").write_text("a = " + "[" * 100_000)
    (tmp_path / "bytes.toml").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "large.toml").write_text("#" * (1 << 21))
    (tmp_path / "empty.toml").write_text("")
    said = {}
    for path in (*sorted(tmp_path.iterdir()), tmp_path / "none.toml", tmp_path):
        assert main(["claims", str(tmp_path), "--claims", str(path)]) == 2
        said[path.name] = capsys.readouterr().err
        assert said[path.name].count("\n") == 1
    assert said["large.toml"].endswith("large.toml is larger than 1,048,576 bytes\n")
    assert "not TOML" not in said["large.toml"]


def test_the_shipped_claims_name_what_is_shipped_and_agree_with_each_other():
    claims = read_claims(SHIPPED, methods=config.names("strategies"), scenarios=config.names("scenarios"))
    numbers = {(c.setup.name, c.protocol, c.methods[0]): c.value for c in claims if c.kind == "number"}
    checked = 0
    for claim in claims:
        if claim.kind == "difference":
            first, second = (numbers[claim.setup.name, claim.protocol, method] for method in claim.methods)
            assert claim.value == pytest.approx(first - second)
            checked += 1
        if claim.kind == "order" and claim.metric == "held_out":
            for pair in ((one, other) for one in claim.better for other in claim.worse):
                values = [numbers.get((claim.setup.name, claim.protocol, method)) for method in pair]
                if None not in values:
                    assert values[0] > values[1]
                    checked += 1
    assert checked >= 8
    assert {source for claim in claims for source in claim.source} >= {
        "figure 2", "figure 3", "figure 4", "figure 5", "figure 6", "table 1", "appendix F",
    }  # fmt: skip


def test_json_holds_every_claim_with_its_numbers(tmp_path, capsys):
    logs = record(tmp_path / "logs", {"asb": [41.5, 42.0, 42.5]})
    assert main(["claims", str(logs), "--format", "json"]) == 0
    found = {claim["id"]: claim for claim in json.loads(capsys.readouterr().out)["claims"]}
    own = found["omniglot-asb"]
    assert (own["verdict"], own["seeds"], own["another_size"], own["paper"]["value"]) == ("reproduced", 3, [], 42.6)
    assert own["ours"]["value"] == pytest.approx(42.0, abs=1e-3)
    assert len(found) == len(read_claims())
    assert found["vgg-zap-ends-higher"]["verdict"] == "undecided"
    assert found["vgg-zap-ends-higher"]["ours"]["value"] is None


def test_the_seeds_that_would_decide_are_the_fewest_that_do():
    seeds = seeds_to_detect(3.0, 1.0, 6)
    assert standardised_difference(seeds, 0.05 / 6, 0.8) <= 3.0 < standardised_difference(seeds - 1, 0.05 / 6, 0.8)
    assert seeds_to_detect(0.0, 1.0, 1) is None
    assert seeds_to_detect(1e9, 1.0, 1) == 3
    # t(0.975, n - 1) x 1 / sqrt(n): 1.2415 with five, 1.0494 with six, 0.9248 with seven seeds
    assert (seeds_for_interval(1.05, 1.0), seeds_for_interval(1.04, 1.0)) == (6, 7)
    assert seeds_for_interval(1.0, 1.0, further=1.0) is None
    assert seeds_for_trend(1.0, 4) == 3
    assert seeds_for_trend(0.0, 4) is None


def diamonds(figure):
    return [line for line in figure.axes[0].lines if line.get_marker() == "D"]


def test_figures_show_the_papers_values_where_a_table_is_at_its_size(tmp_path):
    logs = load(record(tmp_path / "logs", {"asb_zap": [50, 51, 52], "asb": [40, 41, 42], "reptile": [1, 2, 3]}))
    (table,) = tables(logs)
    papers = papers_values(table, logs)
    assert papers == {"asb": 42.6, "asb_zap": 57.0}
    for figure in (bars(table, papers), trajectories(table, curves(logs, table), papers=papers)):
        assert sorted(float(line.get_ydata()[0]) for line in diamonds(figure)) == [42.6, 57.0]
        assert any("paper" in text.get_text() for text in figure.axes[0].get_legend().get_texts())
    assert not diamonds(bars(table))
    write_figures([table], logs, tmp_path / "figures", kinds=("bars", "trajectories"))
    for path in (tmp_path / "figures").iterdir():
        assert "paper" in path.read_text()


@pytest.mark.parametrize("name", ["asb_zap[ASB.inner_lr=9]", "mine"])
def test_a_variant_of_a_strategy_does_not_stand_for_it_in_claims(name, tmp_path):
    record(tmp_path, {"asb": [40.0, 42.0, 44.0]})
    about = {"scenario": "omniglot", "facts": PAPERS_SIZE, "outputs": 1000, "encoder": "convnet3x256"}
    for seed, score in enumerate((56, 57, 58)):
        variant = {"method": name, "strategy": "asb_zap", "config_hash": "variant", "seed": seed}
        bindings = ("ASB.inner_lr = 9",) if "[" in name else ()
        write(tmp_path, [0.9, score / 100], **variant, bindings=bindings, **about)
        write(tmp_path, [0.9, 0.9], method="asb", seed=seed, transfer="replay", learner="replay", **about)
    (found,) = held(tmp_path, 'kind = "order"\nbetter = ["asb_zap"]\nworse = ["asb"]\n', tmp_path)
    assert found.verdict.why == "no logs of asb_zap"
    logs = load(tmp_path)
    assert set(papers_values(tables(logs)[0], logs)) == {"asb"}


def test_rows_that_learn_otherwise_than_by_adam_are_held_against_no_claim(tmp_path):
    about = {"scenario": "omniglot", "facts": PAPERS_SIZE, "outputs": 1000, "encoder": "convnet3x256"}
    for seed, score in enumerate((42, 43, 44)):
        write(tmp_path, [0.9, score / 100], method="asb", seed=seed, transfer="sequential_sgd", **about)
    (found,) = held(tmp_path, NUMBER.format(43.0), tmp_path)
    assert found.table is None


def test_claims_about_adam_are_held_against_its_rows_where_a_table_has_other_heads_too(tmp_path):
    """Other heads neither take the place of the paper's nor make its comparisons stricter."""
    alone, mixed = tmp_path / "alone", tmp_path / "mixed"
    scores = {"asb": [40.0, 42.0, 44.0], "asb_zap": [47.0, 48.0, 49.0]}
    for folder in (alone, mixed):
        record(folder, scores)
    for learner, more in (("ncm", 20), ("slda", 30), ("ridge", 25)):
        for strategy, seeds in scores.items():
            for seed, score in enumerate(seeds):
                about = {
                    "method": strategy,
                    "scenario": "omniglot",
                    "seed": seed,
                    "facts": PAPERS_SIZE,
                    "outputs": 1000,
                }
                write(mixed, [0.9, (score + more) / 100], **about, transfer=learner, learner=learner)
    claim = 'kind = "order"\nbetter = ["asb_zap"]\nworse = ["asb"]\n'
    (expected,), (found,) = held(alone, claim, tmp_path), held(mixed, claim, tmp_path)
    assert len(load(mixed).trials["method"].unique()) > 2
    assert found.verdict == expected.verdict
    logs = load(mixed)
    (table,) = tables(logs)
    papers = papers_values(table, logs)
    assert sorted(papers.values()) == [42.6, 57.0]
    assert set(papers) <= {row.method for row in table.rows}  # as figures name them


@pytest.mark.parametrize(
    "change",
    [{"facts": PAPERS_SIZE | {"classes_per_trial": 100}}, {"encoder": "convnet3x32"}, {"scenario": "omniglot_small"}],
)
def test_figures_at_another_size_show_no_value_of_the_paper(change, tmp_path):
    logs = load(record(tmp_path / "logs", {"asb_zap": [50, 51, 52]}, **change))
    (table,) = tables(logs)
    assert papers_values(table, logs) == {}


def test_a_table_that_ranks_by_another_metric_gets_no_verdict_and_no_value_of_the_paper(tmp_path):
    logs = load(record(tmp_path / "logs", {"asb_zap": [50, 51, 52]}))
    (table,) = tables(logs, metric=metric_named("forgetting"))
    assert papers_values(table, logs) == {}
    assert all(finding.table is None for finding in judge(read_claims(), logs, [table]))


def test_the_page_has_the_verdicts_and_a_page_without_claims_has_no_such_section(tmp_path):
    logs = load(record(tmp_path / "logs", {"asb_zap": [57, 58, 59], "asb": [42, 43, 44]}))
    write_site(tables(logs), logs, tmp_path / "page")
    text = (tmp_path / "page" / "index.html").read_text()
    assert "<h2>Claims of the paper</h2>" in text
    assert "<td>asb_zap &gt; asb</td>" in text
    write(tmp_path / "other", [0.5])
    other = load(tmp_path / "other")
    write_site(tables(other), other, tmp_path / "page")
    assert "Claims of the paper" not in (tmp_path / "page" / "index.html").read_text()


def test_a_method_with_a_failed_task_and_one_without_validation_are_undecided(tmp_path):
    logs = record(tmp_path / "logs", {"asb": [42, 43, 44], "iid": [9, 10, 11]})
    about = {"scenario": "omniglot", "facts": PAPERS_SIZE, "encoder": "convnet3x256", "outputs": 1000}
    write(logs, [], method="asb", trial=1, status=contract.FAILED, reason="no", **about)
    (finding,) = held(logs, NUMBER.format(43.0), tmp_path)
    assert (finding.verdict.verdict, finding.verdict.why) == ("undecided", "not ranked: asb")
    claim = 'kind = "correlation"\nmethods = ["a", "b", "c"]\nranks = false\n'
    (finding,) = held(record(tmp_path / "more", {name: GROWING[name] for name in "abc"}), claim, tmp_path)
    assert finding.verdict.verdict == "undecided"
    assert finding.verdict.why == "no validation value: a, b, c"
    assert math.isnan(finding.verdict.value)


def test_a_missing_value_leaves_one_claim_undecided_and_not_all(tmp_path):
    names = "abc"
    claims = 'kind = "correlation"\nmethods = ["a", "b", "c"]\nranks = false\n'
    second = START[START.index("[[claims]]") :].replace('"one"', '"two"')
    second += 'kind = "number"\nmethods = ["a"]\nvalue = 10.5\n'
    scores = {name: GROWING[name] for name in names}
    logs = record(tmp_path / "logs", scores, validation=scores)
    for path in (logs / "runs" / "b").glob("*/*"):
        if path.parent.name != "0":
            path.unlink()
    found = held(logs, f"{claims}\n{second}", tmp_path)
    assert [finding.verdict.verdict for finding in found] == ["undecided", "reproduced"]
    assert (found[0].verdict.seeds, found[0].verdict.why) == (1, "1 pre-training seed")
    logs = record(tmp_path / "short", scores, validation=scores)
    about = {"scenario": "omniglot", "facts": PAPERS_SIZE, "encoder": "convnet3x256", "outputs": 1000}
    write(logs, [0.11], method="a", seed=0, **about)  # a curve of one point has no area
    found = held(logs, f'metric = "area"\n{claims}\n{second}', tmp_path)
    assert [finding.verdict.verdict for finding in found] == ["undecided", "reproduced"]
    assert found[0].verdict.why == "no area value: a"

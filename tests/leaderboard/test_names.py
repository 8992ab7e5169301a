"""What rows are called: one name for one method, two for two, and only what differs within a scenario."""

from zapbench.leaderboard.read.names import name_rows, parts_of


def row(method="iid", *, strategy="iid", bindings=(), learner="", learned=(), transfer="sequential", **more):
    about = {
        "method": method, "strategy": strategy, "bindings": bindings, "learner": learner, "learner_bindings": learned,
        "transfer": transfer, "scenario": "s", "fingerprint": "f", "method_hash": "h", "config_hash": "c",
        "weights": "", "setting": "", "place": 0, "folder": "",
    } | more  # fmt: skip
    return about | {"parts": parts_of(about)}


def names(*rows):
    common = name_rows(list(rows))
    return [one["method"] for one in rows], common.get("s", ())


def test_a_name_holds_only_the_bindings_that_differ_and_the_others_stand_once():
    shared = "K = 3"
    found = names(
        row("asb[K=3]", strategy="asb", bindings=(shared,)),
        row("asb[ASB.inner_lr=0.1, K=3]", strategy="asb", bindings=("ASB.inner_lr = 0.1", shared), method_hash="i"),
    )
    assert found == (["asb", "asb[ASB.inner_lr=0.1]"], ("K=3",))


def test_a_binding_that_changes_nothing_is_in_no_name():
    assert names(row("iid", bindings=("IID.epochs = 10",)))[0] == ["iid"]


def test_bindings_of_a_learner_make_rows_of_their_own():
    sizes = [
        row(learner="replay", learned=(f"transfer/ReplayPlugin.mem_size = {n}",), method_hash=str(n)) for n in (1, 9)
    ]
    found, _ = names(row(learner="replay"), *sizes)
    assert found == ["iid + replay", "iid + replay[ReplayPlugin.mem_size=1]", "iid + replay[ReplayPlugin.mem_size=9]"]


def test_two_transfers_of_one_learner_are_two_rows():
    found, _ = names(row(), row(transfer="sequential_sgd", method_hash="g"))
    assert found == ["iid (sequential)", "iid (sequential_sgd)"]


def test_two_configurations_of_one_name_are_two_rows():
    found, _ = names(row(method_hash="aaaa11"), row(method_hash="bbbb22"))
    assert found == ["iid #aaaa", "iid #bbbb"]


def test_a_name_that_a_person_gave_stays_as_it_is():
    assert names(row("mine", bindings=("IID.epochs = 3",)))[0] == ["mine"]


def test_records_of_an_earlier_version_are_one_method_where_their_configurations_are_and_two_where_not():
    old = {"method_hash": ""}
    assert names(row(**old), row(**old))[0] == ["iid", "iid"]
    assert len(set(names(row(**old), row(**old, config_hash="d"))[0])) == 2
    tuned = [row(**old, config_hash=h, setting=f"IID.epochs={h}") for h in "cd"]
    assert names(*tuned)[0] == ["iid", "iid"]
    assert names(row(**old), row(method_hash="new"))[0] == ["iid", "iid"]

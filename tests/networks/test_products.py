"""Products by every library against float64's, and the choices that are measured, kept and taken over."""

import json

import pytest
import torch

from zapbench.networks import choices as kept
from zapbench.networks import products
from zapbench.networks.choices import choices, fastest, set_choices
from zapbench.networks.products import WAYS, multiply


@pytest.fixture
def empty(monkeypatch, tmp_path):
    """No choice is known, and the user's cache is another folder."""
    monkeypatch.setattr(kept, "_choices", {})
    monkeypatch.setattr(kept.platformdirs, "user_cache_dir", lambda *_, **__: str(tmp_path))
    return tmp_path


@pytest.mark.parametrize("name", WAYS)
@pytest.mark.parametrize("left_transposed", [False, True])
@pytest.mark.parametrize("right_transposed", [False, True])
@pytest.mark.parametrize("sizes", [(121, 90, 64), (97, 33, 20), (1, 300, 5)])
@pytest.mark.parametrize("part", [False, True])
def test_every_library_multiplies(name, left_transposed, right_transposed, sizes, part):
    rows, inner, columns = sizes
    left = torch.randn(inner, rows).t() if left_transposed else torch.randn(rows, inner)
    right = torch.randn(columns, inner).t() if right_transposed else torch.randn(inner, columns)
    if part:
        left, right = left[:, : inner // 2], right[: inner // 2]
    expected = left.double() @ right.double()
    assert torch.allclose(WAYS[name](left, right).double(), expected, atol=1e-5 * inner**0.5)
    assert torch.allclose(multiply(left, right).double(), expected, atol=1e-5 * inner**0.5)


@pytest.mark.parametrize("transposed", [False, True])
def test_the_private_operator_is_never_given_a_view_of_a_wider_matrix(monkeypatch, transposed):
    """With one, a product of 1000 x 2304 x 1000 takes 24 seconds instead of 10 milliseconds."""
    operator, given = torch.ops.mkldnn._linear_pointwise, []

    def spy(left, right, *rest):
        given.append(right.is_contiguous() or right.t().is_contiguous())
        return operator(left, right, *rest)

    monkeypatch.setattr(torch.ops.mkldnn, "_linear_pointwise", spy)
    right = torch.randn(33, 60)[:, :50].t() if transposed else torch.randn(50, 60)[:, :33]
    left = torch.randn(20, 50)
    torch.testing.assert_close(WAYS[products.OPERATOR](left, right), left @ right)
    assert given == [True]


def test_float64_and_a_torch_without_onednn_use_torchs_product(empty, monkeypatch):
    left, right = torch.randn(200, 200), torch.randn(200, 200)
    assert torch.equal(multiply(left.double(), right.double()), left.double() @ right.double())
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: False)
    assert torch.equal(multiply(left, right), left @ right)
    assert choices() == {}


def test_a_torch_without_the_private_operator_has_the_others(empty, monkeypatch):
    monkeypatch.setattr(torch.ops, "mkldnn", object())
    asked = []
    monkeypatch.setattr(products, "fastest", lambda question, ways: asked.append(set(ways)) or "torch.mm")
    multiply(torch.randn(200, 200), torch.randn(200, 200))
    assert asked == [{"torch.mm", "oneDNN convolution"}]


def test_large_sizes_share_a_choice_and_small_ones_do_not(empty):
    for rows, inner in ((200, 1000), (200, 1020), (201, 1000)):
        multiply(torch.randn(rows, inner), torch.randn(inner, 300))
    assert set(choices()) == {"product 200x1024x512 NN", "product 201x1024x512 NN"}


def test_eight_threads_give_the_same_product(empty):
    left, right = torch.randn(200, 100), torch.randn(100, 200)
    threads = torch.get_num_threads()
    torch.set_num_threads(8)
    try:
        assert torch.allclose(multiply(left, right).double(), left.double() @ right.double(), atol=1e-4)
    finally:
        torch.set_num_threads(threads)


def calls():
    """Two ways, of which the second does a hundredth of the work."""
    done = []
    return done, {
        "slow": lambda: done.append("slow") or sum(range(200_000)),
        "quick": lambda: done.append("quick") or sum(range(2_000)),
    }


def test_a_choice_is_measured_once_and_kept_for_other_processes(empty, monkeypatch):
    done, ways = calls()
    assert fastest("question", ways) == "quick"
    measured = len(done)
    assert fastest("question", ways) == "quick"
    monkeypatch.setattr(kept, "_choices", {})  # another process
    assert fastest("question", ways) == "quick"
    assert len(done) == measured
    (path,) = empty.rglob("*.json")
    assert json.loads(path.read_text()) == {"question": "quick"}


def test_what_is_as_fast_as_the_preferred_way_is_not_taken(empty, monkeypatch):
    ticks = iter(range(10**9))
    monkeypatch.setattr(kept.time, "thread_time", lambda: next(ticks))
    monkeypatch.setattr(kept.time, "perf_counter", lambda: next(ticks))
    assert fastest("question", {"preferred": int, "other": int}) == "preferred"


def test_choices_of_a_checkpoint_win_over_what_is_faster_here(empty):
    done, ways = calls()
    set_choices({"question": "slow"})
    assert fastest("question", ways) == "slow"
    assert done == []
    assert choices() == {"question": "slow"}


def test_a_choice_that_is_none_of_the_ways_is_measured_again(empty):
    _, ways = calls()
    set_choices({"question": "a library of another version"})
    assert fastest("question", ways) == "quick"


@pytest.mark.parametrize("content", ["", "[1]", "{"])
def test_a_damaged_cache_is_measured_again(empty, content):
    _, ways = calls()
    fastest("question", ways)
    (path,) = empty.rglob("*.json")
    path.write_text(content)
    kept._choices.clear()
    assert fastest("question", ways) == "quick"


def test_a_cache_that_cannot_be_written_to_keeps_choices_for_the_process(empty, monkeypatch):
    (empty / "choices").write_text("a file where the folder would be")
    _, ways = calls()
    assert fastest("question", ways) == fastest("question", ways) == "quick"

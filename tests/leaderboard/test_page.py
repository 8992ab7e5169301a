"""The static page: whole, the same twice, and in a real Chromium it sorts, filters, hovers and lets nothing in."""

import io
import os
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support.made_logs import describe, write
from support.paths import DEMO

from zapbench.cli.main import main
from zapbench.experiment.record import write_trial
from zapbench.leaderboard import contract
from zapbench.leaderboard.decide.curves import curves
from zapbench.leaderboard.decide.tables import tables
from zapbench.leaderboard.read.load import load
from zapbench.leaderboard.show import page as page_module
from zapbench.leaderboard.show.figures import write_figures
from zapbench.leaderboard.show.page import page_names, write_site
from zapbench.transfer.reference import Trajectory

NAMES = (
    "<script>document.title='taken'</script>",
    "<img src=x onerror=\"document.title='taken'\">",
    "</script><script>document.title='taken'</script>",
    "\"><svg onload=document.title='taken'>",
    "{{ 7 * 7 }}{% for x in y %}",
    "javascript:alert(1)",
    "../../a b",
)


def make_site(folder, out):
    logs = load(folder)
    write_site(tables(logs), logs, out)
    return out


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    return make_site(DEMO, tmp_path_factory.mktemp("site"))


@pytest.fixture(scope="module")
def hostile(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hostile")
    for place, name in enumerate(NAMES):
        for seed in range(3):
            write(folder / "logs", [0.9, 0.1 * place], method=name, seed=seed, scenario="<b>s</b>", encoder="<i>e</i>")
    (folder / "logs" / "<img src=x>tfevents").write_bytes(b"x")
    return make_site(folder / "logs", folder / "site")


@pytest.fixture(scope="module")
def chromium():
    playwright = pytest.importorskip("playwright.sync_api")
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if not found:
        pytest.skip("no chromium on the path")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(
            executable_path=found, args=["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"]
        )
        yield browser
        browser.close()


@pytest.fixture
def visit(chromium):
    """Opens a page and, at the end, insists that it said nothing and asked nobody but the folder."""
    contexts, said, asked = [], [], []

    def open_page(path, **more):
        context = chromium.new_context(**{"viewport": {"width": 1280, "height": 900}, **more})
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("request", lambda request: asked.append(request.url))
        page.goto(path.as_uri())
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert said == []
    assert asked
    assert {url.split(":")[0] for url in asked} == {"file"}


def methods(page):
    return page.locator("table.ranked >> nth=0 >> tbody tr:visible th").all_inner_texts()


def test_every_link_of_every_page_leads_to_a_file_of_the_site(site, hostile):
    for root in (site, hostile):
        pages = list(root.rglob("*.html"))
        assert len(pages) == len(list((root / "methods").iterdir())) + 1 > 4
        for page in pages:
            for target in re.findall(r'(?:href|src)="([^"]*)"', page.read_text(encoding="utf-8")):
                path = target.partition("#")[0]
                assert not path or (page.parent / path).is_file(), target
        assert (root / ".nojekyll").exists()


def test_the_same_logs_make_the_same_bytes_and_an_earlier_page_is_replaced(site, tmp_path):
    logs = tmp_path / "logs"
    write(logs, [0.5])
    again = make_site(logs, tmp_path / "site")
    assert (again / "methods" / "m.html").exists()
    make_site(DEMO, again)
    files = sorted(path.relative_to(site) for path in site.rglob("*") if path.is_file())
    assert files == sorted(path.relative_to(again) for path in again.rglob("*") if path.is_file())
    assert all((site / name).read_bytes() == (again / name).read_bytes() for name in files)


class Killed(BaseException):
    """What a signal does: nothing catches it."""


def test_a_page_killed_at_any_point_is_completed_by_the_next_call(tmp_path, monkeypatch):
    for seed in range(2):
        write(tmp_path / "logs", [0.9, 0.5], seed=seed)
    logs = load(tmp_path / "logs")
    made = tables(logs)
    expected = make_site(tmp_path / "logs", tmp_path / "whole")
    calls = [(Path, "mkdir"), (Path, "touch"), (Path, "write_text"), (Path, "rmdir"), (Path, "unlink")]
    calls += [(shutil, "copyfile"), (shutil, "rmtree"), (os, "replace")]
    left = [0]

    def counted(original):
        def call(*args, **more):
            left[0] -= 1
            if left[0] == 0:
                raise Killed
            return original(*args, **more)

        return call

    for home, name in calls:
        monkeypatch.setattr(home, name, counted(getattr(home, name)))
    out = tmp_path / "site"
    points = 0
    for earlier in (False, True):
        place = 0
        while True:
            place += 1
            left[0] = place
            try:
                write_site(made, logs, out)
                break
            except Killed:
                points += 1
        left[0] = 0
        files = sorted(path.relative_to(out) for path in out.rglob("*"))
        assert files == sorted(path.relative_to(expected) for path in expected.rglob("*")), earlier
        assert all(
            (out / name).read_bytes() == (expected / name).read_bytes() for name in files if (out / name).is_file()
        )
    assert points > 29


def test_a_second_process_does_not_write_into_a_folder_in_which_one_is_writing(tmp_path, capsys, monkeypatch):
    out = tmp_path / "page"

    def second(*arguments):
        monkeypatch.undo()
        assert main(["leaderboard", str(DEMO), "--no-cache", "--site", str(out)]) == 2
        assert f"another process is writing a page into {out}" in capsys.readouterr().err
        return write_figures(*arguments)

    monkeypatch.setattr(page_module, "write_figures", second)
    assert main(["leaderboard", str(DEMO), "--no-cache", "--site", str(out)]) == 0
    assert (out / "index.html").exists()
    assert main(["leaderboard", str(DEMO), "--no-cache", "--site", str(out)]) == 0


def test_a_folder_that_holds_something_else_is_refused_untouched(tmp_path, capsys):
    (tmp_path / "mine.txt").write_text("mine")
    assert main(["leaderboard", str(DEMO), "--no-cache", "--site", str(tmp_path)]) == 2
    assert "holds something else than an earlier page" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_pages_of_methods_have_names_of_their_own_where_case_does_not_count():
    found = page_names(["asb", "ASB", "a/b", "a_b", "../x", "x" * 300, "con:", "名前", "index"])
    assert len({name.casefold() for name in found.values()}) == len(found)
    assert all(re.fullmatch(r"[a-z0-9_-]{1,80}\.html", name) for name in found.values())


def test_no_method_can_be_called_like_the_page_of_another():
    victim = "asb_zap + replay"
    (page,) = page_names([victim]).values()
    forged = page.removesuffix(".html")
    assert len(set(page_names([victim, forged]).values())) == 2


def test_names_are_text_on_every_page(hostile):
    for page in hostile.rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        assert "<script>document" not in text
        assert not re.search(r'<(img(?! src="figures/)|svg|b|i)\b', re.sub(r"<noscript>.*?</noscript>", "", text))
        assert "&lt;i&gt;e&lt;/i&gt;" in text
        assert "Content-Security-Policy" in text.partition("<link")[0]


def test_no_element_comes_from_a_name_in_a_browser(hostile, visit):
    page = visit(hostile / "index.html")
    assert page.title() == "Leaderboard"
    assert page.evaluate("document.querySelectorAll('script:not([src]):not([type=\"application/json\"])').length") == 0
    assert (
        page.evaluate("document.querySelectorAll('main img:not([src^=figures]), main b, main svg[onload]').length") == 0
    )
    shown = page.locator("table.ranked tbody th a").all_text_contents()
    assert {" ".join(name.split()) for name in shown} == {" ".join(name.split()) for name in NAMES}
    keys = page.locator(".keys .name").all_text_contents()
    assert set(keys) == {*NAMES, "chance"}
    for link in page.locator("table.ranked tbody th a").all():
        assert re.fullmatch(r"methods/[^/:]+\.html", link.get_attribute("href"))
    page.locator("table.ranked tbody th a").first.click()
    assert page.title() != "taken"
    assert page.locator("h1").text_content() in shown


def test_the_policy_forbids_other_hosts_and_scripts_in_the_page(site, chromium):
    page = chromium.new_page()
    page.goto((site / "index.html").as_uri())
    attempts = {
        "img-src": "new Image().src = 'http://elsewhere.example/x.png'",
        "connect-src": "fetch('http://elsewhere.example/x').catch(() => 0)",
        "script-src-elem": "{const s = document.createElement('script'); s.textContent = '1'; document.head.append(s)}",
        # A handler is refused when it would run: today's Chromium does not say so before.
        "script-src-attr": "document.body.insertAdjacentHTML('beforeend', '<p onclick=\"1\">x</p>');"
        "document.body.lastElementChild.click()",
    }
    for directive, attempt in attempts.items():
        found = page.evaluate(
            "new Promise((done) => {setTimeout(() => done('nothing was refused'), 10000); "
            "addEventListener('securitypolicyviolation', "
            f"(e) => done(e.effectiveDirective), {{once: true}}); {attempt}}})"
        )
        assert found == directive
    page.close()


def test_it_sorts_by_any_column_and_back(site, visit):
    page = visit(site / "index.html")
    assert methods(page) == ["asb", "asb_zap", "iid", "iid_zap"]
    validation = page.get_by_role("button", name="validation %")
    validation.click()
    assert methods(page) == ["iid", "asb", "asb_zap", "iid_zap"]
    validation.click()
    assert methods(page) == ["iid_zap", "asb_zap", "asb", "iid"]
    assert page.locator("th[aria-sort]").get_attribute("aria-sort") == "ascending"
    page.get_by_role("button", name="held-out % [95% CI]").click()
    assert methods(page) == ["asb", "asb_zap", "iid", "iid_zap"]
    page.get_by_role("button", name="all columns").click()
    page.get_by_role("button", name="images seen").click()
    assert len(methods(page)) == 4


def test_numbers_are_sorted_as_numbers_and_gaps_stand_last(tmp_path, visit):
    for place, score in enumerate([0.09, 0.1, 1.0]):
        for seed in range(3 if place else 1):
            write(tmp_path / "logs", [score], method=f"m{place}", seed=seed)
    page = visit(make_site(tmp_path / "logs", tmp_path / "site") / "index.html")
    score = page.get_by_role("button", name="held-out % [95% CI]")
    score.click()
    assert methods(page) == ["m2", "m1", "m0"]
    page.get_by_role("button", name="rank").click()
    assert methods(page) == ["m2", "m1", "m0"]
    page.get_by_role("button", name="rank").click()
    assert methods(page) == ["m1", "m2", "m0"]  # the one without a rank is last either way


def test_it_filters_by_words(site, visit):
    page = visit(site / "index.html")
    page.get_by_role("searchbox").fill("ZAP asb")
    assert methods(page) == ["asb_zap"]
    assert page.locator(".count").inner_text() == "1 of 4"
    page.get_by_role("searchbox").fill("")
    assert len(methods(page)) == 4


def test_hovering_reads_the_curves_at_that_step(site, visit):
    page = visit(site / "index.html")
    logs = load(DEMO)
    found = curves(logs, tables(logs)[0])
    values = page.locator(".keys .value")
    assert values.all_inner_texts()[0] == "24.7 [22.6, 26.8]"
    box = page.locator(".u-over").bounding_box()
    page.mouse.move(box["x"] + box["width"] * 29 / 59, box["y"] + box["height"] / 2)
    assert page.locator(".keys .at").inner_text() == "classes seen: 30"
    for text, curve in zip(values.all_inner_texts(), found):
        ends = f"[{100 * curve.low[29]:.1f}, {100 * curve.high[29]:.1f}]"
        assert text == f"{100 * curve.mean[29]:.1f} {ends}"
    page.mouse.move(5, 5)
    assert page.locator(".keys .at").inner_text() == "classes seen: 60"


def test_curves_are_drawn_and_switched_off_and_on(site, visit):
    page = visit(site / "index.html")

    def coloured():
        """Pixels of asb's blue."""
        with Image.open(io.BytesIO(page.locator(".canvas").screenshot())) as image:
            return int((np.abs(np.asarray(image.convert("RGB")) - np.array([0, 114, 178])).max(axis=2) < 20).sum())

    page.wait_for_timeout(100)
    assert coloured() > 200
    key = page.locator(".keys button", has_text="asb").first
    key.click()
    page.mouse.move(5, 5)
    page.wait_for_timeout(100)
    assert key.get_attribute("aria-pressed") == "false"
    assert coloured() == 0
    key.click()
    page.wait_for_timeout(100)
    assert coloured() > 200


def test_each_upper_bound_has_dashes_of_its_own_and_so_has_chance(tmp_path, visit):
    for method in ("best", "second"):
        write(tmp_path / "logs", [0.9, 0.8], method=method, learner="cumulative")
    page = visit(make_site(tmp_path / "logs", tmp_path / "site") / "index.html")
    keys = page.locator(".keys button line").evaluate_all("all => all.map((key) => key.outerHTML)")
    strokes = [re.search(r'stroke="(.*?)"', key).group(1) for key in keys]
    dashes = [re.search(r'stroke-dasharray="(.*?)"', key).group(1) for key in keys]
    assert strokes == ["currentColor"] * 3
    assert len(set(dashes)) == 3


def test_light_and_dark_follow_the_system_and_the_button(site, visit):
    def back(page):
        return page.evaluate("getComputedStyle(document.body).backgroundColor")

    assert back(visit(site / "index.html", color_scheme="light")) == "rgb(255, 255, 255)"
    page = visit(site / "index.html", color_scheme="dark")
    assert back(page) == "rgb(21, 24, 28)"
    page.locator("#theme").click()
    assert back(page) == "rgb(255, 255, 255)"
    page.reload()
    assert back(page) == "rgb(255, 255, 255)"


@pytest.mark.parametrize("width", [320, 390])
def test_a_phone_scrolls_tables_and_never_the_page(site, hostile, visit, width):
    for path in (site / "index.html", site / "methods" / "asb_zap.html", hostile / "index.html"):
        page = visit(path, viewport={"width": width, "height": 800}, has_touch=True)
        assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_without_scripts_the_page_is_whole(site, chromium):
    context = chromium.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto((site / "index.html").as_uri())
    assert len(methods(page)) == 4
    assert page.locator("noscript img").count() == 1
    context.close()


def test_a_method_shows_its_configuration_as_text_its_seeds_and_its_cost(tmp_path, visit):
    for seed in range(3):
        trajectory = Trajectory(steps=[1, 2], held_out=[0.5, 0.4], trained_on=[0.5, 0.4], forgetting=[0.0, 0.0])
        about = describe("m", seed=seed, encoder="convnet")
        text = "import antigravity_of_ours\n</pre><script>document.title='taken'</script>"
        place = tmp_path / "logs" / f"seed={seed}"
        write_trial(place, about, text, trajectory, {contract.SECONDS: 7.0}, contract.Closing(contract.FINISHED))
    page = visit(make_site(tmp_path / "logs", tmp_path / "site") / "methods" / "m.html")
    page.locator("summary").click()
    assert page.locator("pre").inner_text() == text
    assert page.locator("table.seeds tbody tr").count() == 3
    assert "7.0" in page.locator("dl").inner_text()
    assert page.locator(".keys .name").all_inner_texts() == ["m", "chance", "seed 0", "seed 1", "seed 2"]
    assert page.title() == "m"

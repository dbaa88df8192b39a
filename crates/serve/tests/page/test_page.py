"""The page, as somebody uses it and as somebody abuses it."""

from __future__ import annotations

import contextlib
import re
import socket
import time
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from conftest import DEADLINE, Place, wait_for
from playwright.sync_api import Browser, Page, expect

expect.set_options(timeout=DEADLINE * 1000)


def open_job(page: Page, url: str) -> None:
    page.goto(url)
    expect(page.locator("#headline .badge")).to_be_visible()


def test_a_failing_job_is_followed_to_its_end(place: Place, page: Page) -> None:
    gate = place.root / "gate"
    job = place.job("train", 8, "train", str(gate), "5", options=("--fold", "ranks"))
    open_job(page, place.serve())
    assert "token" not in page.url
    expect(page.locator("#connection")).to_have_text("live")
    expect(page.locator("#states")).to_contain_text("8 running")
    expect(page.locator("#failure")).to_be_hidden()
    expect(page.locator("#log .row").first).to_be_visible()
    gate.touch()
    expect(page.locator("#failure-title")).to_have_text("Rank 5 failed first: exit code 1")
    expect(page.locator("#said")).to_contain_text("RuntimeError: an illegal memory access")
    job.wait(DEADLINE)
    expect(page.locator("#connection")).to_have_text("ended, shown from its files")
    expect(page.locator("#headline .badge")).to_have_text("failed")
    expect(page.locator("#states")).to_contain_text("7 ended")
    # What the others said before it, together; and after it.
    others = page.locator("#others")
    expect(others).to_contain_text("watchdog: timed out waiting for rank 5")
    text = others.inner_text()
    before, after = text.split("rank 5 fails", 1)
    assert "step" in before and "watchdog" in after and "watchdog" not in before
    expect(others.locator(".chip", has_text="0-4,6,7 (7)").first).to_be_visible()

    page.click("#tab-end")
    expect(page.locator("#balance")).to_contain_text("It balances")
    expect(page.locator("#stages")).to_contain_text("signal")
    page.click("#tab-ranks")
    expect(page.locator("#ranks-table tbody tr").first).to_contain_text("failed first")


def test_the_log_is_folded_filtered_and_says_who_said_what(place: Place, page: Page) -> None:
    gate = place.root / "gate"
    gate.touch()
    place.job("train", 8, "train", str(gate), "5", options=("--fold", "ranks")).wait(DEADLINE)
    open_job(page, place.serve("train"))
    rows = page.locator("#log .row")
    expect(rows.filter(has_text="watchdog")).to_have_count(1)
    page.fill("#log-ranks", "1")
    expect(rows.filter(has_text="watchdog")).to_have_count(1)
    page.fill("#log-ranks", "0,2-4")
    expect(rows.filter(has_text="watchdog")).to_have_count(0)
    page.fill("#log-ranks", "")
    page.select_option("#log-stream", "stderr")
    expect(rows.filter(has_text="loss is nan")).to_have_count(0)
    page.fill("#log-text", "watch(dog|man)")
    expect(rows).to_have_count(1)
    page.fill("#log-text", "(")
    expect(page.locator("#log-text")).to_have_class(re.compile("wrong"))
    page.select_option("#log-stream", "stdout")
    page.fill("#log-text", "^ready$")
    chip = rows.first.locator(".chip")
    expect(chip).to_have_text("0-7 (8)")
    expect(chip).to_have_attribute("aria-expanded", "false")
    chip.press("Enter")
    expect(chip).to_have_attribute("aria-expanded", "true")
    expect(page.locator(".who")).to_contain_text("8 lines of 8 ranks: 0-7")
    page.locator(".who summary").click()
    expect(page.locator(".who tbody tr").filter(has_text="stdout")).to_have_count(8)


def test_a_rank_log_is_reached_from_a_search_and_by_keys(place: Place, page: Page) -> None:
    gate = place.root / "gate"
    gate.touch()
    place.job("train", 8, "train", str(gate), "5").wait(DEADLINE)
    open_job(page, place.serve("train"))
    page.click("#tab-search")
    page.fill("#search-text", "illegal memory|nan$")
    page.press("#search-text", "Enter")
    expect(page.locator("#search-state")).to_contain_text("3 lines found")
    texts = page.locator("#search-hits .text").all_inner_texts()
    assert texts[0] == "loss is nan" and texts[2].startswith("RuntimeError")
    assert page.locator("#search-hits mark").first.inner_text() == "nan"
    page.locator("#search-hits .chip").last.click()
    expect(page.locator("#rank-log .target")).to_contain_text("RuntimeError: an illegal")
    expect(page.locator("#rank-stream")).to_have_value("stderr")
    page.click("#tab-search")
    page.fill("#search-text", "(")
    page.press("#search-text", "Enter")
    expect(page.locator("#search-note")).to_contain_text("unclosed group")
    # The heat map without a mouse.
    page.locator("#heat-map").focus()
    for key in ["Home", "ArrowDown", "ArrowDown", "End"]:
        page.keyboard.press(key)
    expect(page.locator("#heat-tip")).to_contain_text("rank 2,")
    page.keyboard.press("Enter")
    expect(page.locator("#tab-rank")).to_have_attribute("aria-selected", "true")
    expect(page.locator("#rank-number")).to_have_value("2")
    page.locator("#tab-rank").press("ArrowRight")
    expect(page.locator("#tab-search")).to_be_focused()
    page.locator("#heat-table-box summary").click()
    expect(page.locator("#heat-table tbody tr")).to_have_count(8)


def test_what_ranks_say_is_text(place: Place, page: Page) -> None:
    place.job("hostile", 1, "hostile").wait(DEADLINE)
    open_job(page, place.serve("hostile"))
    expect(page.locator("#log")).to_contain_text("last line")
    page.click("#tab-rank")
    page.click("#rank-start")
    log = page.locator("#rank-log")
    expect(log).to_contain_text("<script>document.title = 'owned'; alert(1)</script>")
    expect(log).to_contain_text("<img src=x onerror=alert(2)>")
    expect(log).to_contain_text("a link of the terminal after")
    expect(log).to_contain_text("broken \ufffd\ufffd utf-8 \ufffd")
    expect(log.locator(".f1", has_text=re.compile("^red$"))).to_have_count(1)
    orange = log.locator("span", has_text=re.compile("^orange$")).last
    assert orange.evaluate("element => getComputedStyle(element).color") == "rgb(255, 135, 0)"
    for found in ["script", "img", "a", "iframe"]:
        assert log.locator(found).count() == 0, found
    assert log.locator(".row", has_text="xxxx").first.locator("span").count() < 1000
    assert page.title() != "owned"
    # The long line is read in pieces, and its end is reached.
    page.click("#rank-end")
    expect(log).to_contain_text("end of the long line")
    expect(log).to_contain_text("last line")
    assert page.evaluate("document.body.innerText.length") < 20_000_000
    page.click("#tab-search")
    page.fill("#search-text", "end of the long")
    page.press("#search-text", "Enter")
    expect(page.locator("#search-hits mark")).to_have_text("end of the long")


def test_strangers_see_nothing(place: Place, browser: Browser) -> None:
    url = place.serve()
    base = url.split("?")[0]
    with_cookie = browser.new_context()
    with_cookie.new_page().goto(url)
    own = with_cookie.request
    assert own.get(f"{base}api/jobs").status == 200
    assert own.get(f"{base}api/jobs", headers={"origin": "http://evil.example"}).status == 403
    assert own.get(f"{base}api/jobs", headers={"host": "evil.example"}).status == 421
    # A page of another origin that has its visitor's browser ask gets no answer, cookie or not.
    other = place.serve()
    page = with_cookie.new_page()
    page.goto(other)
    expect(page.locator("#jobs-title")).to_be_visible()
    asked = page.evaluate("fetch({!r}).then(() => 'read', () => 'refused')".format(f"{base}api/jobs"))
    assert asked == "refused"
    stranger = browser.new_context()
    page = stranger.new_page()
    for path in ["", "?token=", "?token=" + "x" * 32]:
        answer = page.goto(base + path)
        assert answer and answer.status == 401
        assert "lastline serve" in page.inner_text("body")
    with_cookie.close()
    stranger.close()


def test_a_link_from_elsewhere_opens_the_page(place: Place, page: Page) -> None:
    url = place.serve()
    link = place.root / "chat.html"
    link.write_text(f"<a href='{url}'>look</a>")
    page.goto(f"file://{link}")
    page.click("a")
    expect(page.locator("#jobs-title")).to_be_visible()


def test_nobody_waits_for_who_never_reads(place: Place, page: Page) -> None:
    url = place.serve("--allow-control")
    open_url = urlsplit(url)
    started = time.monotonic()
    gate = place.root / "gate"
    job = place.job("flood", 8, "flood", str(gate), "8")
    page.goto(url)
    cookie = page.context.cookies()[0]
    head = f"host: {open_url.netloc}\r\ncookie: {cookie['name']}={cookie['value']}\r\n\r\n"
    viewers = []
    for _ in range(11):
        viewer = socket.create_connection((open_url.hostname, open_url.port))
        viewer.sendall(f"GET /api/jobs/flood/live HTTP/1.1\r\n{head}".encode())
        viewers.append(viewer)
    stuck, reading = viewers[0], viewers[1:]
    took = dict.fromkeys(reading, 0)
    for viewer in reading:
        viewer.setblocking(False)

    def read_all() -> int:
        """How much that was least told was told."""
        for viewer in reading:
            with contextlib.suppress(BlockingIOError):
                took[viewer] += len(viewer.recv(1 << 20))
        return min(took.values())

    told_before = wait_for(read_all)
    gate.touch()
    wait_for(lambda: read_all() and job.poll() is not None)
    server = next(process for process in place.started if process.args[1] == "serve")  # type: ignore[index]
    peak = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{server.pid}/status").read_text())
    assert peak and int(peak[1]) < 64 << 10, peak
    wait_for(lambda: read_all() > told_before + 10_000)
    page.goto(url.split("?")[0] + "#flood")
    expect(page.locator("#connection")).to_have_text("ended, shown from its files")
    assert job.returncode == 0 and time.monotonic() - started < DEADLINE
    stuck.close()


def test_a_job_is_stopped_from_the_page(place: Place, browser: Browser) -> None:
    job = place.job("train", 2, "train", str(place.root / "gate"), "9")
    context = browser.new_context()
    page = context.new_page()
    page.on("dialog", lambda dialog: dialog.accept())
    open_job(page, place.serve("train", "--allow-control"))
    page.click("#flush")
    expect(page.locator("#control-answer")).to_have_text("reached")
    page.click("#stop")
    assert job.wait(DEADLINE) == 143
    expect(page.locator("#headline .badge")).to_contain_text("stopped")
    expect(page.locator("#control")).to_be_hidden()
    context.close()


def test_a_job_in_a_file_is_the_same_page(place: Place, page: Page) -> None:
    gate = place.root / "gate"
    gate.touch()
    place.job("train", 8, "train", str(gate), "5").wait(DEADLINE)
    file = place.root / "job.html"
    place.run("report", "--html", str(file)).wait(DEADLINE)
    page.goto(f"file://{file}")
    expect(page.locator("#failure-title")).to_have_text("Rank 5 failed first: exit code 1")
    expect(page.locator("#others")).to_contain_text("watchdog")
    page.click("text=0.25 s")
    expect(page.locator("#log")).to_contain_text("RuntimeError")
    expect(page.locator("#tab-search")).to_have_count(0)
    page.fill("#log-text", "watchdog")
    expect(page.locator("#log .row")).to_have_count(1)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_both_schemes_have_contrast(place: Place, browser: Browser, scheme: str) -> None:
    context = browser.new_context(color_scheme=scheme)  # type: ignore[arg-type]
    page = context.new_page()
    page.goto(place.serve())
    expect(page.locator("#jobs-title")).to_be_visible()
    colours = page.evaluate(
        "[getComputedStyle(document.body).color, getComputedStyle(document.body).backgroundColor]"
    )
    light, dark = (luminance(colour) for colour in colours)
    assert (max(light, dark) + 0.05) / (min(light, dark) + 0.05) >= 7
    context.close()


def luminance(colour: str) -> float:
    """As in WCAG 2.2, relative luminance."""
    parts = [int(part) / 255 for part in re.findall(r"\d+", colour)[:3]]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

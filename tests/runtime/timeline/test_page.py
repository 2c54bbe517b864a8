"""The page in a real browser: it loads without a network, draws, zooms, says what is below the pointer, and finds a node."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, sync_playwright

from isa.program import Program
from runtime.api import compile as compile_program
from runtime.ledger import Cost, executed
from runtime.timeline import page

CHROMIUM = (
    shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
)
QUIET = ("--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking")
needs_browser = pytest.mark.skipif(
    CHROMIUM is None,
    reason="no Chromium on this machine: install it (Debian: apt-get install chromium)",
)


@pytest.fixture(scope="module")
def program(demo_model: Path) -> Program:
    return compile_program(demo_model, {"batch": 1, "seq": 16})


@pytest.fixture
def browser_page(program: Program, tmp_path: Path) -> Iterator[Page]:
    """The demonstration's page, opened from a file; any request beyond it or any error of the script fails the test."""
    ledger = executed(program)
    file = tmp_path / "run.html"
    file.write_text(page(ledger, Cost.of(program, ledger.cycles)), encoding="utf-8")
    complaints: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(QUIET))
        opened = browser.new_page(viewport={"width": 1300, "height": 900})
        opened.on("pageerror", lambda error: complaints.append(str(error)))
        opened.on("console", lambda message: complaints.append(message.text))
        opened.on("request", lambda r: None if r.url == file.as_uri() else complaints.append(r.url))
        opened.goto(file.as_uri())
        opened.wait_for_selector("body[data-ready=yes]")
        yield opened
        browser.close()
    assert complaints == []


def state(opened: Page) -> dict[str, Any]:
    """What the page says of itself after it has drawn."""
    found: dict[str, Any] = json.loads(opened.evaluate("document.body.dataset.state"))
    return found


def painted(opened: Page) -> int:
    """Pixels of the timeline that are not background."""
    count: int = opened.evaluate(
        """() => {
            const c = document.getElementById("lanes");
            const data = c.getContext("2d").getImageData(150, 26, c.width - 150, c.height - 26).data;
            let n = 0;
            for (let i = 3; i < data.length; i += 4) n += data[i] > 0;
            return n;
        }"""
    )
    return count


@needs_browser
def test_the_run_is_drawn(browser_page: Page, program: Program) -> None:
    drawn = state(browser_page)
    assert drawn["bursts"] == len(program.bursts)
    assert (drawn["from"], drawn["to"]) == (0, executed(program).cycles)
    assert painted(browser_page) > 2_000
    assert "lower bounds" in browser_page.inner_text("#report")
    assert browser_page.inner_text("#title") == "demo on tsp1"


@needs_browser
def test_the_wheel_zooms_to_single_cycles_and_back(browser_page: Page) -> None:
    box = browser_page.locator("#lanes").bounding_box()
    assert box is not None
    browser_page.mouse.move(box["x"] + 700, box["y"] + 100)
    for _ in range(30):
        browser_page.mouse.wheel(0, -400)
    browser_page.wait_for_function(
        "JSON.parse(document.body.dataset.state).to < 50 + JSON.parse(document.body.dataset.state).from"
    )
    assert state(browser_page)["to"] - state(browser_page)["from"] == 4
    browser_page.click("#whole")
    assert state(browser_page)["from"] == 0
    browser_page.focus("#lanes")
    browser_page.keyboard.press("+")
    half = state(browser_page)
    assert half["to"] - half["from"] == pytest.approx(executed_cycles(browser_page) / 2)


def executed_cycles(opened: Page) -> int:
    cycles: int = opened.evaluate("facts.cycles")
    return cycles


@needs_browser
def test_a_node_is_found_and_shown(browser_page: Page, program: Program) -> None:
    """Part of a name will do. The view goes to the cycles of the node's bursts; a name that nobody has moves nothing."""
    name = "layer0.attn.mixed"
    mine = program.bursts[program.bursts["node"] == program.nodes.index(name)]
    browser_page.fill("#find", "0.attn.mix")
    browser_page.press("#find", "Enter")
    found = browser_page.inner_text("#found")
    assert found.startswith(
        f"{name}: {len(mine):,} bursts, cycles {int(mine['cycle'].min()):,} .. "
    )
    at = state(browser_page)
    assert at["from"] <= mine["cycle"].min()
    assert at["to"] >= (mine["cycle"] + (mine["count"] - 1) * mine["interval"]).max()
    browser_page.fill("#find", "no such thing")
    browser_page.press("#find", "Enter")
    assert browser_page.inner_text("#found") == "no such node at work"
    assert state(browser_page)["from"] == at["from"]


@needs_browser
def test_the_pointer_says_instruction_cycle_and_node(browser_page: Page) -> None:
    """Below the middle of the widest burst of a unit stands that burst: unit, mnemonic, cycle, node."""
    where = browser_page.evaluate(
        """() => {
            const unit = rows.findIndex((u) => facts.units[u] === "MXM_W0.activations");
            show(0, 2000);
            let best = -1;
            const u = rows[unit];
            for (let i = first[u]; i < first[u + 1]; i++)
                if (end(i) < 2000 && (best < 0 || bursts.count[i] > bursts.count[best])) best = i;
            const middle = bursts.cycle[best] + Math.floor(bursts.count[best] / 2) * bursts.interval[best];
            return [x(middle + 0.5), TOP + unit * ROW + ROW / 2, middle, facts.nodes[bursts.node[best]]];
        }"""
    )
    box = browser_page.locator("#lanes").bounding_box()
    assert box is not None
    browser_page.mouse.move(box["x"] + where[0], box["y"] + where[1])
    lines = browser_page.inner_text("#tip").splitlines()
    assert lines[0].startswith("MXM_W0.activations  abc ")
    assert lines[1].startswith(f"cycle {where[2]:,}, dispatch ")
    assert lines[2] == f"node {where[3]}"


@pytest.mark.nightly
@needs_browser
def test_fifty_thousand_bursts_are_drawn_at_once(browser_page: Page) -> None:
    """Fifty thousand bursts take at most 0.2 s to draw; the least of several, since machines that test are shared."""
    times = browser_page.evaluate(
        """() => {
            const more = Math.ceil(50000 / facts.count), n = facts.count * more;
            const grown = { args: bursts.args };
            for (const name of facts.columns) grown[name] = new Int32Array(n);
            let at = 0;
            for (const u of facts.units.keys()) {
                for (let copy = 0; copy < more; copy++)
                    for (let i = first[u]; i < first[u + 1]; i++, at++)
                        for (const name of facts.columns)
                            grown[name][at] = bursts[name][i] + (name === "cycle" ? copy * facts.cycles : 0);
            }
            first = first.map((f) => f * more);
            longest.length = 0;
            bursts = grown;
            facts.count = n;
            facts.cycles *= more;
            const taken = [];
            for (let i = 0; i < 9; i++) { show(0, facts.cycles); taken.push(state.drawMs); }
            return taken.sort((a, b) => a - b);
        }"""
    )
    assert state(browser_page)["bursts"] >= 50_000
    assert times[0] <= 200, times


def test_names_of_nodes_are_never_markup(program: Program) -> None:
    """A model may call a node what it likes."""
    evil = "</script><script>alert(1)</script>"
    nodes = (program.nodes[0], evil, *program.nodes[2:])
    ledger = executed(replace(program, nodes=nodes, meta=(("model", evil), *program.meta[1:])))
    made = page(ledger, Cost.of(program, ledger.cycles))
    assert evil not in made
    assert made.count("</script>") == 3

"""Links lead somewhere, and every page can be reached."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.pages import PAGES, ROOT, name_of, prose

LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
CODE = re.compile(r"`([a-z_]+(?:/[a-z_.]+)+/?)`")


def targets(page: Path) -> Iterator[tuple[str, str]]:
    """File (empty: the page itself) and anchor of each link that stays in the repository."""
    for link in LINK.findall(prose(page)):
        if "://" not in link:
            path, _, anchor = link.partition("#")
            yield path, anchor


def anchors(page: Path) -> set[str]:
    """The headings of a page as links name them."""
    titles = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    words = (re.sub(r"[^\w\- ]", "", title.lower()) for title in titles)
    return {word.replace(" ", "-") for word in words}


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_resolve(page: Path) -> None:
    for path, anchor in targets(page):
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{name_of(page)} links to {path}"
        assert not anchor or anchor in anchors(target), f"{name_of(page)} links to {path}#{anchor}"


def test_every_page_is_linked_from_the_index() -> None:
    index = ROOT / "docs" / "index.md"
    linked = {(index.parent / path).resolve() for path, _ in targets(index)}
    assert {p for p in PAGES if p.parent == ROOT / "docs"} - linked == {index}


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_files_that_are_named_exist(page: Path) -> None:
    """A path in code type is one from the repository's root, unless the page makes it up as an example."""
    roots = ("isa", "compiler", "emulator", "runtime", "tests", "docs", "examples")
    for name in CODE.findall(prose(page)):
        if name.partition("/")[0] in roots and not name.endswith("/fold_scales.py"):
            assert (ROOT / name).exists() or (ROOT / f"{name}.py").exists(), name

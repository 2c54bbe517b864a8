"""What docs/editor.md tells an editor is of the form that the editor reads."""

from __future__ import annotations

import json
import re
import tomllib
from typing import Final

from isa.textmate import SCOPE
from tests.runtime.lsp.client import ROOT

PAGE: Final = (ROOT / "docs" / "editor.md").read_text(encoding="utf-8")


def block(language: str) -> str:
    (found,) = re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    return str(found)


def test_vs_code() -> None:
    (grammar,) = json.loads(block("json"))["contributes"]["grammars"]
    assert grammar["scopeName"] == SCOPE
    assert (ROOT / "examples" / "editors" / grammar["path"]).is_file()


def test_helix() -> None:
    config = tomllib.loads(block("toml"))
    (language,) = config["language"]
    (server,) = config["language-server"].values()
    assert language["scope"] == SCOPE
    assert language["language-servers"] == [*config["language-server"]]
    assert [server["command"], *server["args"]] == ["tspc", "lsp"]

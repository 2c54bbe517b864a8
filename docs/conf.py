"""Sphinx: the site of `make docs`, whose pages `runtime/site.py` puts together."""

from __future__ import annotations

from typing import Any

from pygments.lexer import RegexLexer
from pygments.token import Comment, Keyword, Name, Number, Operator, String, Text

project = "tspc"
extensions = ["myst_parser"]
root_doc = "index"
html_theme = "furo"
html_title = "tspc"
html_copy_source = False
html_show_copyright = False
myst_heading_anchors = 3
highlight_language = "text"


class AssemblyLexer(RegexLexer):
    """Assembly of ``isa/assembly.lark`` and what authors write above it."""

    name = "tspc assembly"
    tokens = {  # noqa: RUF012  # The form that pygments asks for.
        "root": [
            (r";.*", Comment.Single),
            (r'"[^"\n]*"', String),
            (r"\.[a-z]\w*", Keyword.Declaration),
            (r"@[a-z]\w*|@[0-9]+", Keyword),
            (r"(?:MEM|VXM|MXM|SXM|C2C)_[\w.{}]+", Name.Namespace),
            (r"\b[EW][0-9]+\b|\balu[0-9]+\b", Name.Variable),
            (r"\b[if](?:8|16|32)\b", Keyword.Type),
            (r"\b0x[0-9a-fA-F]+\b|\b[0-9]+(?:\.[0-9]*)?\b", Number),
            (r"[A-Za-z_]\w*", Name),
            (r"[-+*/%<>=&|#~!]", Operator),
            (r"\s+|.", Text),
        ]
    }


def setup(app: Any) -> None:
    """Register the lexer under the name that the pages' blocks have."""
    app.add_lexer("asm", AssemblyLexer)

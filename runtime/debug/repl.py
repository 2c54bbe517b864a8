"""The debugger's prompt: a line, a result; completion and history where the terminal has them."""

from __future__ import annotations

import cmd
import signal
from types import FrameType

from isa.errors import TspcError
from isa.instruction import REGISTRY
from runtime.debug.commands import HELP, Command, parse
from runtime.debug.session import Session
from runtime.debug.text import render
from runtime.debug.values import CLASSES, TYPES


class Repl(cmd.Cmd):
    """Commands from a terminal or a pipe. An empty line does the last step again; Ctrl-C stops a move."""

    prompt = "(tspc) "

    def __init__(self, session: Session) -> None:
        super().__init__()
        self.session = session
        self._repeat: Command | None = None

    def preloop(self) -> None:
        signal.signal(signal.SIGINT, self._interrupted)
        self._say("help lists the commands")
        self._say(render(self.session.execute(Command("here"))))

    def _say(self, text: str) -> None:
        self.stdout.write(f"{text}\n")

    def _interrupted(self, _signal: int, _frame: FrameType | None) -> None:
        """A first Ctrl-C ends a move where it is; a second one ends the debugger."""
        if self.session.travel.interrupt:
            raise KeyboardInterrupt
        self.session.travel.interrupt = True

    def onecmd(self, line: str) -> bool:
        """Do a line; whether to leave."""
        if line == "EOF":
            self._say("")
            return True
        self.session.travel.interrupt = False
        try:
            command = parse(line, self.session.names) or (None if line.strip() else self._repeat)
            if command is None:
                return False
            result = self.session.execute(command)
        except TspcError as error:
            self._say(str(error))
            return False
        moves = ("step", "back", "stepi", "backi", "continue", "reverse")
        self._repeat = command if command.name in moves else None
        if shown := render(result):
            self._say(shown)
        return bool(result["kind"] == "quit")

    def completenames(self, text: str, *_ignored: object) -> list[str]:
        return [name for name in HELP if name.startswith(text)]

    def completedefault(self, *given: object) -> list[str]:
        """Words that a command may have next: everything that has a name."""
        text = str(given[0])
        names = self.session.names
        known = [*names.tensors, *names.scratch, *names.machine.queue_names, *names.positions]
        known += [*names.symbols.labels.values(), *TYPES, *CLASSES, *REGISTRY]
        known += [
            "as",
            "lanes",
            "cycle",
            "queue",
            "instr",
            "label",
            "line",
            "read",
            "write",
            "access",
        ]
        known += [f"alu{number}" for number in range(names.machine["vxm.alus"])]
        return sorted({word for word in known if word.startswith(text)})

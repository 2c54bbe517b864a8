"""C2C: vectors between chips. A program for a single chip uses none of these; the verifier refuses them there."""

from __future__ import annotations

from typing import Protocol, cast

from isa.instruction import Bytes, Instruction, Kind, Port, instruction, operand


class LinkPort(Port, Protocol):
    """A ``Port`` of a C2C unit: it also sees the chip's links."""

    def send(self, link: int, data: Bytes) -> None:
        """Let ``data`` (one plane) leave on ``link``; it arrives ``timing.c2c_hop`` cycles later."""

    def receive(self, link: int) -> Bytes:
        """The vector (one plane) that arrives on ``link`` in this cycle."""

    def deskew(self, link: int) -> None:
        """Align ``link``'s arrivals to this chip's cycle."""


@instruction("deskew", 0x70, "C2C")
class Deskew(Instruction):
    """Align what arrives on ``link`` to this chip's clock; once a link, before its first ``receive``."""

    link: int = operand(Kind.UINT, 4)

    def execute(self, port: Port) -> None:
        cast(LinkPort, port).deskew(self.link)


@instruction("send", 0x71, "C2C", "c2c_hop")
class Send(Instruction):
    """Send the vector on ``stream`` over ``link``; the far chip may ``receive`` it ``timing.c2c_hop`` cycles later."""

    link: int = operand(Kind.UINT, 4)
    stream: int = operand(Kind.STREAM, 6)

    def execute(self, port: Port) -> None:
        cast(LinkPort, port).send(self.link, port.stream(self.stream, 1))


@instruction("receive", 0x72, "C2C")
class Receive(Instruction):
    """Put the vector that arrives on ``link`` in this cycle on ``stream``."""

    link: int = operand(Kind.UINT, 4)
    stream: int = operand(Kind.STREAM, 6)

    def execute(self, port: Port) -> None:
        port.put(self.stream, cast(LinkPort, port).receive(self.link))

"""What a live session hands to its sinks."""

from dataclasses import dataclass

from freeavatar.types import Expression, Image, RigFrame


@dataclass(frozen=True, slots=True)
class Moment:
    """One instant and everything known about it.

    Attributes:
        time: seconds of the monotonic clock at its capture; a file's frame is captured when it is due.
        index: the frame's index in its source.
        picture: (H, W, 3) RGB uint8; None while the camera delivers nothing.
        expression: what the encoder read; None without a face.
        rows: one a rig, in the order in which the rigs were named, as they are sent.
    """

    time: float
    index: int
    picture: Image | None
    expression: Expression | None
    rows: tuple[RigFrame, ...]

"""Where the sections get their pictures and readings from."""

from dataclasses import dataclass, field
from pathlib import Path

from . import real
from .pictures import Rows, Size, pictures
from .readings import read

OURS, PEER = "FreeAvatar", "MediaPipe"


@dataclass(frozen=True)
class Bench:
    """Where everything comes from; sets and readings are made when a section asks for them."""

    size: Size
    seed: int
    cache: Path
    """Folder of the pictures."""
    scores: Path
    """Folder of what MediaPipe read from real faces."""
    weights: Path | None
    """The encoder's; None takes the shipped one."""
    workers: int
    variant: str | None = None
    """Of the encoder's graphs; None takes the one that runs unless told otherwise."""
    _sets: dict[str, Rows] = field(default_factory=dict)

    def rows(self, name: str) -> Rows:
        """A set of pictures with truth, MediaPipe's scores, and what the encoder reads as ``our_...``."""
        if name not in self._sets:
            rows = pictures(name, self.size, self.seed, self.cache, self.workers)
            ours = read(rows["picture"].tolist(), rows["landmarks"], self.weights, self.variant, self.workers, name)
            self._sets[name] = rows | {f"our_{key}": value for key, value in ours.items()}
        return self._sets[name]

    def faces(self, split: str) -> Rows:
        """Real faces with labels and MediaPipe's scores."""
        return real.faces(split, self.scores, self.workers)

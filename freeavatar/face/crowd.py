"""Which of several faces is the chosen one: all are followed, so that two that cross do not swap."""

import math
from dataclasses import dataclass
from itertools import product
from typing import Final

import numpy as np
from numpy.typing import NDArray

from freeavatar.errors import SourceError

MOST: Final = 4
"""Faces that are followed at once."""
_STEP: Final = 0.7
_SPEED: Final = 3.0
"""Face widths that a face may be off its expected place, at once and more for each second in which it was not seen."""
_HIDDEN: Final = 0.5
"""Face widths by which a face that was not seen just now must fit better than one that was: those in front hide others."""
_INERTIA: Final = 0.2
"""Seconds over which the speed of a face is averaged."""
_COAST: Final = 1.0
"""Seconds for which a face that is not seen is expected to move on."""
_FORGET: Final = 3.0
"""Seconds after which a face that is not seen has left."""
_SAME: Final = 0.3
"""Two finds closer than this part of a face's width are one: the landmarker sometimes follows the front one twice."""

Faces = NDArray[np.float64]
"""(K, 3) x, y and width in pixels of each face."""


@dataclass(eq=False)
class _Person:
    place: NDArray[np.float64]
    speed: NDArray[np.float64]
    seen: float

    def expected(self, time: float) -> NDArray[np.float64]:
        return self.place[:2] + self.speed * min(max(time - self.seen, 0.0), _COAST)

    def cost(self, face: NDArray[np.float64], time: float) -> float:
        """How badly a face fits, in face widths of misplacement."""
        width = float(self.place[2])
        return float(np.hypot(*(face[:2] - self.expected(time)))) / width + abs(math.log(face[2] / width))

    def limit(self, time: float) -> float:
        return _STEP + _SPEED * max(time - self.seen, 0.0)

    def move(self, face: NDArray[np.float64], time: float) -> None:
        step = time - self.seen
        if step > 0:
            self.speed = self.speed + step / (step + _INERTIA) * ((face[:2] - self.place[:2]) / step - self.speed)
        self.place, self.seen = face, time


class Crowd:
    """Follows the face that was the n-th from the left of the picture when n faces were first seen.

    A chosen face that is gone for some seconds has left; the n-th from the left is then chosen anew.

    Args:
        face: n, 1 to :data:`MOST`.

    Raises:
        SourceError: n is out of that range.
    """

    def __init__(self, face: int) -> None:
        if not 1 <= face <= MOST:
            raise SourceError(f"--face {face}: expected 1 to {MOST}, counted from the left of the picture")
        self._face = face
        self._people: list[_Person] = []
        self._chosen: _Person | None = None
        self._time = float("-inf")

    def choose(self, faces: Faces, time: float) -> int | None:
        """The index of the chosen face among those of a frame; None where it is not seen.

        Args:
            faces: those found, in any order.
            time: seconds, rising from call to call.
        """
        distinct = [i for i in range(len(faces)) if not any(_same(faces[i], faces[j]) for j in range(i))][:MOST]
        self._people = [person for person in self._people if time - person.seen <= _FORGET]
        matches = self._match(faces, distinct, time)
        for i, person in matches.items():
            person.move(faces[i], time)
        for i in distinct:
            if i not in matches and len(self._people) < MOST:
                matches[i] = _Person(faces[i], np.zeros(2), time)
                self._people.append(matches[i])
        if self._chosen not in self._people:
            ordered = sorted(matches, key=lambda i: float(faces[i][0]))
            self._chosen = matches[ordered[self._face - 1]] if len(ordered) >= self._face else None
        return next((i for i, person in matches.items() if person is self._chosen), None)

    def _match(self, faces: Faces, indices: list[int], time: float) -> dict[int, _Person]:
        """The assignment of as many faces as fit to people, that misplaces them least."""
        fits = []
        for person in self._people:
            costs = {i: person.cost(faces[i], time) for i in indices}
            hidden = _HIDDEN if person.seen < self._time else 0.0
            fits.append({i: cost + hidden for i, cost in costs.items() if cost < person.limit(time)})
        self._time = time
        best, least = dict[int, _Person](), (0, 0.0)
        for choice in product(*([None, *costs] for costs in fits)):
            pairs = {i: k for k, i in enumerate(choice) if i is not None}
            rank = (-len(pairs), sum(fits[k][i] for i, k in pairs.items()))
            if len(pairs) == len(choice) - choice.count(None) and rank < least:
                best, least = {i: self._people[k] for i, k in pairs.items()}, rank
        return best


def _same(a: NDArray[np.float64], b: NDArray[np.float64]) -> bool:
    return bool(np.hypot(*(a[:2] - b[:2])) < _SAME * max(a[2], b[2]))

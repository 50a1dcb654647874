"""The animator: an expression to the control values of one avatar. One network drives all avatars it was trained with."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from freeavatar.bounded import read_bounded
from freeavatar.encoder import Encoder
from freeavatar.errors import WeightsError
from freeavatar.network import WEIGHTS, check_graph, open_session, read_config
from freeavatar.output import replacing
from freeavatar.providers import CPU
from freeavatar.rig import Rig
from freeavatar.tensors import read_tensors
from freeavatar.types import Expression, RigFrame, Vector

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

FIELDS: Final = {"encoder_sha256": str, "feature_version": int, "feature_size": int, "code_size": int, "query_size": int, "rigs": dict}
OPTIONAL: Final = {"network": str, "examples": int}
FITTED: Final = "animator.json"
"""File of a rig's folder that holds the code and the queries of a rig that was fitted after the network was trained."""
_MAX_FITTED: Final = 1 << 22


@dataclass(frozen=True)
class Fitted:
    """What the network knows of one avatar.

    Attributes:
        code: (K,) of the avatar.
        queries: (Q,) of each of its controls, by name.
    """

    code: Vector
    queries: Mapping[str, Vector]

    def stack(self, names: Sequence[str]) -> NDArray[np.float32] | None:
        """(N, Q) queries in the order of the names; None where one is unknown, or there are none."""
        return np.stack([self.queries[name] for name in names]) if names and self.queries.keys() >= set(names) else None


class Animator:
    """Drives rigs from expressions; made by :meth:`load`.

    A rig is driven by what ``freeavatar train avatar`` wrote into its folder, else by what the network learnt of the rig
    of that name. One that has neither, or controls that it does not cover, is driven by the ARKit read-out through the
    rig's own map.

    Attributes:
        sha256: identity of the network; what was fitted to another is refused.
        encoder_sha256: the encoder whose features it takes.
        feature_version: version of the feature space it takes.
        feature_size: length of the features it takes.
        rigs: names of the rigs it was trained with.
    """

    def __init__(self, config: dict[str, Any], session: "InferenceSession", avatars: Mapping[str, Vector]) -> None:
        self.sha256: str = config["sha256"]
        self.encoder_sha256: str = config["encoder_sha256"]
        self.feature_version: int = config["feature_version"]
        self.feature_size: int = config["feature_size"]
        self.rigs: tuple[str, ...] = tuple(config["rigs"])
        self._session = session
        self._sizes: tuple[int, int] = config["code_size"], config["query_size"]
        self._known = {
            name: Fitted(avatars[f"{name}.code"], dict(zip(controls, avatars[f"{name}.queries"], strict=True)))
            for name, controls in config["rigs"].items()
        }
        self._feeds: dict[tuple[str, Path, tuple[str, ...]], dict[str, NDArray[np.float32]] | None] = {}

    @classmethod
    def load(cls, path: str | Path | None = None, threads: int | None = 1) -> Self:
        """Load a weights folder.

        Args:
            path: folder with config.json, model.onnx and avatars.safetensors; None takes the shipped one.
            threads: CPU threads; None leaves the choice to ONNX Runtime.

        Raises:
            WeightsError: the weights are missing, damaged or of another graph.
        """
        folder = Path(path or WEIGHTS / "animator")
        config = read_config(folder, FIELDS, OPTIONAL)
        avatars = _read_avatars(folder, config)
        session = open_session(folder, config, threads, CPU)  # so small that the way to another device costs more
        inputs = {"feature": (None, config["feature_size"]), "code": (None, config["code_size"]), "queries": (None, config["query_size"])}
        check_graph(folder, session, inputs, {"values": (None, None)})
        return cls(config, session, avatars)

    def check_encoder(self, encoder: Encoder) -> None:
        """Refuse another encoder than the one whose features the network was trained on.

        Raises:
            WeightsError: the encoder is another one.
        """
        if (encoder.sha256, encoder.feature_version) != (self.encoder_sha256, self.feature_version):
            raise WeightsError(
                f"the animator was trained on the encoder {self.encoder_sha256[:12]}... (features {self.feature_version}), "
                f"not on {encoder.sha256[:12]}... (features {encoder.feature_version}); install matching weights"
            )

    def knows(self, rig: Rig) -> bool:
        """Whether the network itself drives this rig; otherwise the ARKit read-out does.

        Raises:
            WeightsError: the rig's folder holds what was fitted to another network, or is damaged.
        """
        return self._feed(rig) is not None

    def animate(self, expression: Expression, rig: Rig) -> RigFrame:
        """The rig's control values for one expression, in the ranges of its rig.toml.

        Raises:
            WeightsError: see :meth:`knows`.
        """
        feed = self._feed(rig)
        if feed is None:
            values = rig.from_arkit(expression.arkit)
        else:
            unit = rig.normalise(rig.neutral())
            unit[rig.driven] = self._session.run(None, feed | {"feature": expression.feature[None]})[0][0]
            values = rig.denormalise(unit.clip(0, 1))
        return RigFrame(
            rig=rig.name,
            names=rig.names,
            values=rig.pose(values, expression.head_pose, expression.gaze),
            arkit=expression.arkit,
            head_pose=expression.head_pose,
            gaze=expression.gaze,
            confidence=expression.confidence,
            time=expression.time,
            index=expression.index,
        )

    def _feed(self, rig: Rig) -> dict[str, NDArray[np.float32]] | None:
        """``code (1, K)`` and ``queries (N, Q)`` of the rig's animator-driven controls; None where one of them is unknown."""
        wanted = tuple(rig.controls[i].name for i in rig.driven)
        if (key := (rig.name, rig.folder, wanted)) not in self._feeds:
            path = rig.folder / FITTED
            own = read_fitted(path, self.sha256, *self._sizes) if path.is_file() else self._known.get(rig.name)
            queries = own.stack(wanted) if own else None
            self._feeds[key] = {"code": own.code[None], "queries": queries} if own and queries is not None else None
        return self._feeds[key]


def write_fitted(path: Path, fitted: Fitted, sha256: str) -> None:
    """Write what was fitted to the network ``sha256``, whole or not at all.

    Raises:
        OutputError: the file cannot be written.
    """
    queries = {name: query.tolist() for name, query in fitted.queries.items()}
    with replacing(path) as temporary:
        temporary.write_text(json.dumps({"format": 1, "animator_sha256": sha256, "code": fitted.code.tolist(), "queries": queries}))


def read_fitted(path: Path, sha256: str, code: int, query: int) -> Fitted:
    """What was fitted to the network ``sha256``, with codes of size ``code`` and queries of size ``query``.

    Raises:
        WeightsError: it cannot be read, is not what :func:`write_fitted` writes, or was fitted to another network.
    """
    again = "run  freeavatar train avatar  on the rig again, or remove the file"
    try:
        document = json.loads(read_bounded(path, _MAX_FITTED, WeightsError, again))
        if document["animator_sha256"] != sha256:
            raise WeightsError(f"{path}: was fitted to another animator than the one installed ({sha256[:12]}...); {again}")
        tensors = {name: np.array(query, np.float32) for name, query in document["queries"].items()}
        own = Fitted(np.array(document["code"], np.float32), tensors)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError, OverflowError) as error:
        raise WeightsError(f"{path}: is not what train avatar writes; {again}") from error
    if own.code.shape != (code,) or any(value.shape != (query,) for value in tensors.values()):
        raise WeightsError(f"{path}: expected a code of {code} numbers and queries of {query} each; {again}")
    if not all(np.isfinite(value).all() for value in (own.code, *tensors.values())):
        raise WeightsError(f"{path}: holds NaN or infinity; {again}")
    return own


def _read_avatars(folder: Path, config: dict[str, Any]) -> dict[str, Vector]:
    """The code (K,) and queries (N, Q) of every avatar, checked against the config."""
    shapes: dict[str, tuple[int, ...]] = {}
    for name, controls in config["rigs"].items():
        if not isinstance(controls, list) or len(set(map(str, controls))) != len(controls):
            raise WeightsError(f"{folder / 'config.json'}: rigs.{name} must be a list of distinct control names")
        shapes |= {f"{name}.code": (config["code_size"],), f"{name}.queries": (len(controls), config["query_size"])}
    return read_tensors(folder / "avatars.safetensors", shapes)

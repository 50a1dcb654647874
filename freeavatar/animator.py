"""The animator: an expression to the control values of one avatar. One network drives all avatars it was trained with."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from freeavatar.encoder import Encoder
from freeavatar.errors import WeightsError
from freeavatar.network import WEIGHTS, check_graph, open_session, read_config
from freeavatar.providers import CPU
from freeavatar.rig import Rig
from freeavatar.tensors import read_tensors
from freeavatar.types import Expression, RigFrame, Vector

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

_FIELDS = {"encoder_sha256": str, "feature_version": int, "feature_size": int, "code_size": int, "query_size": int, "rigs": dict}


class Animator:
    """Drives rigs from expressions; made by :meth:`load`.

    A rig that the network was not trained with, or whose controls it does not know, is driven by the ARKit read-out
    through the rig's own map.

    Attributes:
        encoder_sha256: the encoder whose features it takes.
        feature_version: version of the feature space it takes.
        feature_size: length of the features it takes.
        rigs: names of the rigs it was trained with.
    """

    def __init__(self, config: dict[str, Any], session: "InferenceSession", avatars: Mapping[str, Vector]) -> None:
        self.encoder_sha256: str = config["encoder_sha256"]
        self.feature_version: int = config["feature_version"]
        self.feature_size: int = config["feature_size"]
        self.rigs: tuple[str, ...] = tuple(config["rigs"])
        self._session = session
        self._codes = {name: avatars[f"{name}.code"][None] for name in self.rigs}
        self._queries = {
            name: dict(zip(controls, avatars[f"{name}.queries"], strict=True)) for name, controls in config["rigs"].items()
        }  # fmt: skip
        self._stacks: dict[tuple[str, tuple[str, ...]], NDArray[np.float32] | None] = {}

    @classmethod
    def load(cls, path: Path | None = None, threads: int | None = 1) -> Self:
        """Load a weights folder.

        Args:
            path: folder with config.json, model.onnx and avatars.safetensors; None takes the shipped one.
            threads: CPU threads; None leaves the choice to ONNX Runtime.

        Raises:
            WeightsError: the weights are missing, damaged or of another graph.
        """
        folder = path or WEIGHTS / "animator"
        config = read_config(folder, _FIELDS)
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
        """Whether the network itself drives this rig; otherwise the ARKit read-out does."""
        return self._stack(rig) is not None

    def animate(self, expression: Expression, rig: Rig) -> RigFrame:
        """The rig's control values for one expression, in the ranges of its rig.toml."""
        queries = self._stack(rig)
        if queries is None:
            values = rig.from_arkit(expression.arkit)
        else:
            values = rig.neutral()
            feed = {"feature": expression.feature[None], "code": self._codes[rig.name], "queries": queries}
            driven = [i for i, control in enumerate(rig.controls) if control.source == "animator"]
            unit = rig.normalise(values)
            unit[driven] = self._session.run(None, feed)[0][0]
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

    def _stack(self, rig: Rig) -> NDArray[np.float32] | None:
        """(N, Q) queries of the rig's animator-driven controls by name, or None where one of them is unknown."""
        wanted = tuple(control.name for control in rig.controls if control.source == "animator")
        if (key := (rig.name, wanted)) not in self._stacks:
            known = self._queries.get(rig.name, {})
            self._stacks[key] = np.stack([known[name] for name in wanted]) if wanted and known.keys() >= set(wanted) else None
        return self._stacks[key]


def _read_avatars(folder: Path, config: dict[str, Any]) -> dict[str, Vector]:
    """The code (K,) and queries (N, Q) of every avatar, checked against the config."""
    shapes: dict[str, tuple[int, ...]] = {}
    for name, controls in config["rigs"].items():
        if not isinstance(controls, list) or len(set(map(str, controls))) != len(controls):
            raise WeightsError(f"{folder / 'config.json'}: rigs.{name} must be a list of distinct control names")
        shapes |= {f"{name}.code": (config["code_size"],), f"{name}.queries": (len(controls), config["query_size"])}
    return read_tensors(folder / "avatars.safetensors", shapes)

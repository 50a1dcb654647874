"""The encoder: an upright face crop to what the face expresses."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from freeavatar.arkit import NAMES
from freeavatar.errors import WeightsError
from freeavatar.face.alignment import TEMPLATE
from freeavatar.looks import Looks, views
from freeavatar.network import WEIGHTS, check_graph, open_session, read_config
from freeavatar.providers import short_name
from freeavatar.types import Expression, FaceCrop

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

FIELDS = {"name": str, "size": int, "crop_template": str, "feature_version": int, "feature_size": int, "embedding_size": int}
OPTIONAL = {"precision": str, "variants": dict, "architecture": dict, "looks": str}
ACCURATE = "accurate"
"""The variant that looks at every crop four times."""
_MAX_SIZE = 1024


class Encoder:
    """Reads expressions from crops; made by :meth:`load`.

    Attributes:
        name: the weights' own name.
        size: side of the crops it takes, in pixels.
        feature_size: length of ``Expression.feature``.
        embedding_size: length of ``Expression.embedding``.
        feature_version: version of the feature space.
        sha256: identity of the network, whichever variant runs; animators store it and refuse another.
        provider: what runs it: ``cpu``, ``cuda``, ... (:mod:`freeavatar.providers`).
    """

    def __init__(self, config: dict[str, Any], session: "InferenceSession", looks: Looks | None = None) -> None:
        self.name: str = config["name"]
        self.size: int = config["size"]
        self.feature_size: int = config["feature_size"]
        self.embedding_size: int = config["embedding_size"]
        self.feature_version: int = config["feature_version"]
        self.sha256: str = config["sha256"]
        self.provider = short_name(session.get_providers()[0])
        self._session, self._looks = session, looks
        self._outputs = [node.name for node in session.get_outputs()]

    @classmethod
    def load(
        cls, path: str | Path | None = None, threads: int | None = None, provider: str | None = None, variant: str | None = None
    ) -> Self:
        """Load a weights folder.

        Args:
            path: folder with config.json and model.onnx; None takes the shipped one.
            threads: CPU threads; None leaves the choice to ONNX Runtime.
            provider: what runs it, a name from :mod:`freeavatar.providers`, such as ``tensorrt``; None takes the best one
                that starts, and says so in the log where that is not the best one installed.
            variant: ``float32``, ``int8`` or :data:`ACCURATE`; None takes what the folder holds for the provider.

        Raises:
            WeightsError: the weights are missing, damaged, or made for another crop or graph; or the provider is unknown,
                not installed or does not start.
        """
        folder = Path(path or WEIGHTS / "encoder")
        config = read_config(folder, FIELDS, OPTIONAL)
        if config["crop_template"] != TEMPLATE:
            raise WeightsError(
                f"{folder}: trained on the crop {config['crop_template']!r}, this version cuts {TEMPLATE!r}; use matching weights"
            )
        if config["size"] > _MAX_SIZE:
            raise WeightsError(f"{folder / 'config.json'}: size is {config['size']}; expected at most {_MAX_SIZE}")
        looks = None
        if variant == ACCURATE:
            looks, variant = Looks.load(folder, config.get("looks"), config["feature_size"], config["embedding_size"]), None
        session = open_session(folder, config, threads, provider, variant)
        size, shapes = config["size"], {"feature": config["feature_size"], "embedding": config["embedding_size"]}
        shapes |= {"arkit": len(NAMES), "gaze": 2, "head_pose": 6, "align": 4}
        check_graph(
            folder, session, {"image": (None, 3, size, size)}, {**{name: (None, n) for name, n in shapes.items()}, "confidence": (None,)}
        )
        return cls(config, session, looks)

    def encode(self, crops: Sequence[FaceCrop]) -> list[Expression]:
        """One expression a crop.

        Args:
            crops: crops whose images are (S, S, 3) RGB uint8, S being ``size``.

        Raises:
            WeightsError: a crop has another size.
        """
        if not crops:
            return []
        for crop in crops:
            if crop.image.shape != (self.size, self.size, 3):
                wanted = f"the encoder {self.name} takes crops of {self.size} pixels"
                raise WeightsError(f"{wanted}, not of shape {crop.image.shape}; cut them with FaceTracker(size={self.size})")
        images = np.stack([crop.image for crop in crops])
        if self._looks:
            images = views(images)
        batch = images.transpose(0, 3, 1, 2).astype(np.float32)  # (B, 3, S, S)
        out = dict(zip(self._outputs, self._session.run(None, {"image": batch}), strict=True))
        if self._looks:
            out = self._looks.merge(out)
        return [
            Expression(
                feature=out["feature"][i],
                embedding=out["embedding"][i],
                arkit=out["arkit"][i].clip(0, 1),
                gaze=out["gaze"][i],
                head_pose=crop.head_pose,
                confidence=float(out["confidence"][i]),
                align=out["align"][i],
                crop_pose=out["head_pose"][i],
                time=crop.time,
                index=crop.index,
            )
            for i, crop in enumerate(crops)
        ]

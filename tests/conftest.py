"""Fixtures that several test modules share."""

import hashlib
import json
import os
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import settings
from onnx import TensorProto, helper, numpy_helper
from safetensors.numpy import save_file

if TYPE_CHECKING:
    from freeavatar.animator import Animator
    from freeavatar.rig import Rig


# A busy machine is no reason to fail: hypothesis looks for wrong answers here, not for slow ones.
settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")


@pytest.fixture(scope="session")
def data_root() -> Path:
    """The training data folder; a test that asks for it is skipped on machines without it."""
    root = os.environ.get("FREEAVATAR_DATA")
    if not root:
        pytest.skip("FREEAVATAR_DATA is not set")
    if not Path(root).is_dir():
        pytest.fail(f"FREEAVATAR_DATA names {root}, which is not a folder")
    return Path(root)


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an encoder and an animator as small as the contract allows: they look at the crop's mean colour.

    The animator knows the rig of the fixture ``rig`` and no other.
    """
    root = tmp_path_factory.mktemp("weights")
    encoder = _tiny_encoder(root / "encoder")
    _tiny_animator(root / "animator", encoder)
    return root


@pytest.fixture
def tiny_weights(weights: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Makes the small networks the shipped ones."""
    monkeypatch.setattr("freeavatar.encoder.WEIGHTS", weights)
    monkeypatch.setattr("freeavatar.animator.WEIGHTS", weights)
    return weights


@pytest.fixture
def animator(weights: Path) -> "Animator":
    """The animator of the fixture ``weights``."""
    from freeavatar.animator import Animator

    return Animator.load(weights / "animator")


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder for the user's settings and profiles, which does not exist yet."""
    monkeypatch.setenv("FREEAVATAR_CONFIG", str(tmp_path / "config"))
    return tmp_path / "config"


@pytest.fixture
def rig(tmp_path: Path) -> "Rig":
    """A rig with a pair, a joined control, a lateral control, a turned head and looking eyes."""
    from freeavatar.rig import Control, Rig

    def control(name: str, **fields: object) -> Control:
        given: dict[str, Any] = {"minimum": 0.0, "maximum": 1.0, "mirror": "", "region": "mouth", "source": "animator", "arkit": {}}
        given |= {"morphs": {name: 1.0}, "node": "", "axis": "", "gain": 1.0} | fields
        return Control(name=name, **given)

    controls = (
        control("smileLeft", mirror="smileRight", arkit={"mouthSmileLeft": 1.0}),
        control("smileRight", mirror="smileLeft", arkit={"mouthSmileRight": 1.0}),
        control("lids", region="eyes", maximum=2.0, arkit={"eyeBlinkLeft": 1.0, "eyeBlinkRight": 1.0}),
        control("jawSide", region="jaw", minimum=-1.0, arkit={"jawLeft": 1.0, "jawRight": -1.0}),
        control("headYaw", region="head", minimum=-1.5, maximum=1.5, source="head.yaw", node="head", axis="y", morphs={}),
        control("lookUp", region="gaze", minimum=-1.0, source="gaze.pitch", node="eyes", axis="x", morphs={}),
    )
    return Rig(
        name="tiny",
        title="Tiny",
        licence="CC0-1.0",
        folder=tmp_path,
        model=tmp_path / "avatar.glb",
        controls=controls,
        camera_target=(0.0, 0.0, 0.0),
        camera_height=1.0,
    )


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """A video of 40 frames at a variable rate (1/30 s, then 1/15 s); frames 10 to 29 are black."""
    import av

    path = tmp_path / "clip.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=30)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 90_000)
        for i in range(40):
            image = np.full((48, 64, 3), 0 if 10 <= i < 30 else 60 + 4 * i, np.uint8)
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts, frame.time_base = 3000 * min(i, 20) + 6000 * max(i - 20, 0), Fraction(1, 90_000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


@pytest.fixture
def tracked(monkeypatch: pytest.MonkeyPatch) -> None:
    """A face tracker that takes every bright picture for a face that fills it."""
    import cv2

    from freeavatar.types import FaceCrop, Frame

    class BrightTracker:
        def __init__(self, still: bool = False, size: int = 128, peer: bool = False, face: int | None = None) -> None:
            self.size = size

        def track(self, frame: Frame) -> FaceCrop | None:
            if frame.image.mean() < 20:
                return None
            image = np.asarray(cv2.resize(frame.image, (self.size, self.size)), np.uint8)
            pose = np.array([0.2, 0.1, 0.0, 0.0, 0.0, -0.6], np.float32)
            return FaceCrop(image, np.eye(2, 3, dtype=np.float32), np.zeros((478, 3), np.float32), pose, frame.time, frame.index)

        def close(self) -> None: ...

        def __enter__(self) -> "BrightTracker":
            return self

        def __exit__(self, *_: object) -> None: ...

    for module in ("pipeline", "live", "bench"):
        monkeypatch.setattr(f"freeavatar.{module}.FaceTracker", BrightTracker)


def _tiny_encoder(folder: Path, size: int = 32) -> str:
    from freeavatar.face.alignment import TEMPLATE

    """Write an encoder; its sha256."""
    rng = np.random.default_rng(1)
    widths = {"feature": 8, "embedding": 4, "arkit": 52, "gaze": 2, "head_pose": 6, "confidence": 1, "align": 4}
    nodes = [helper.make_node("ReduceMean", ["image"], ["level"], axes=[2, 3], keepdims=0)]
    nodes.append(helper.make_node("Div", ["level", "white"], ["mean"]))
    constants = {"white": np.array(255, np.float32), **{f"w_{n}": rng.normal(0, 2, (3, w)).astype(np.float32) for n, w in widths.items()}}
    last = {"embedding": "LpNormalization", "arkit": "Sigmoid", "confidence": "Sigmoid", "gaze": "Tanh"}
    for name in widths:
        nodes.append(helper.make_node("MatMul", ["mean", f"w_{name}"], [f"raw_{name}"]))
        nodes.append(helper.make_node(last.get(name, "Identity"), [f"raw_{name}"], ["column" if name == "confidence" else name]))
    constants["one"] = np.array([1], np.int64)
    nodes.append(helper.make_node("Squeeze", ["column", "one"], ["confidence"]))
    outputs = {name: ["B"] if name == "confidence" else ["B", width] for name, width in widths.items()}
    digest = _save_graph(folder, nodes, constants, {"image": ["B", 3, size, size]}, outputs)
    config = {"name": "tiny", "size": size, "crop_template": TEMPLATE, "feature_version": 1, "feature_size": 8, "embedding_size": 4}
    (folder / "config.json").write_text(json.dumps({"format": 1, **config, "sha256": digest}))
    return digest


def _tiny_animator(folder: Path, encoder_sha256: str) -> None:
    rng = np.random.default_rng(2)
    constants = {"a": rng.normal(size=(8, 5)).astype(np.float32), "c": rng.normal(size=(3, 5)).astype(np.float32)}
    nodes = [
        helper.make_node("MatMul", ["feature", "a"], ["x"]),
        helper.make_node("MatMul", ["code", "c"], ["y"]),
        helper.make_node("Add", ["x", "y"], ["z"]),
        helper.make_node("Transpose", ["queries"], ["q"], perm=[1, 0]),
        helper.make_node("MatMul", ["z", "q"], ["logits"]),
        helper.make_node("Sigmoid", ["logits"], ["values"]),
    ]
    inputs: dict[str, list[str | int]] = {"feature": ["B", 8], "code": ["B", 3], "queries": ["N", 5]}
    digest = _save_graph(folder, nodes, constants, inputs, {"values": ["B", "N"]})
    rigs = {"tiny": ["jawSide", "lids", "smileLeft", "smileRight"]}  # not in the rig's own order: names decide
    config = {"encoder_sha256": encoder_sha256, "feature_version": 1, "feature_size": 8, "code_size": 3, "query_size": 5, "rigs": rigs}
    (folder / "config.json").write_text(json.dumps({"format": 1, **config, "sha256": digest}))
    avatars = {"tiny.code": rng.normal(size=3).astype(np.float32), "tiny.queries": rng.normal(size=(4, 5)).astype(np.float32)}
    save_file(avatars, folder / "avatars.safetensors")


def _save_graph(folder: Path, nodes: list[Any], constants: dict[str, Any], inputs: dict[str, Any], outputs: dict[str, Any]) -> str:
    def infos(shapes: dict[str, Any]) -> list[Any]:
        return [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes.items()]

    initialisers = [numpy_helper.from_array(value, name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "tiny", infos(inputs), infos(outputs), initialisers)
    data = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8).SerializeToString()
    folder.mkdir()
    (folder / "model.onnx").write_bytes(data)
    return hashlib.sha256(data).hexdigest()

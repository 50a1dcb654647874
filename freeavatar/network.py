"""A trained network on disk: a folder with ``config.json`` and ``model.onnx``, checked strictly, run by ONNX Runtime."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from freeavatar.errors import WeightsError

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

FORMAT: Final = 1
WEIGHTS: Final = Path(__file__).parent / "weights"
"""Where the shipped weights lie: one folder a network."""
_MAX_CONFIG_BYTES: Final = 4 << 20
_MAX_MODEL_BYTES: Final = 1 << 30
_PROVIDERS: Final = ("CUDAExecutionProvider", "DmlExecutionProvider", "CPUExecutionProvider")
"""In order of preference, where the installed ONNX Runtime has them. CoreML is left out: networks this small run faster on the CPU."""


def read_config(folder: Path, fields: dict[str, type]) -> dict[str, Any]:
    """The folder's ``config.json`` with exactly the fields ``format`` and ``sha256`` and those given, of the given types.

    Raises:
        WeightsError: missing, too large, not JSON, another format, or a field that is missing, unknown or of a wrong type.
    """
    path = folder / "config.json"
    try:
        config = json.loads(_read(path, _MAX_CONFIG_BYTES))
    except ValueError as error:
        raise WeightsError(f"{path}: is not valid JSON ({error}); install the weights again") from error
    if not isinstance(config, dict) or config.get("format") != FORMAT:
        raise WeightsError(f"{path}: expected a JSON object of format {FORMAT}; these weights need another version of FreeAvatar")
    fields = {"format": int, "sha256": str, **fields}
    if missing := sorted(fields.keys() - config.keys()):
        raise WeightsError(f"{path}: lacks {', '.join(missing)}; install the weights again")
    if unknown := sorted(config.keys() - fields.keys()):
        raise WeightsError(f"{path}: has unknown fields {', '.join(unknown)}; these weights need another version of FreeAvatar")
    for name, kind in fields.items():
        value = config[name]
        if type(value) is not kind or (isinstance(value, int) and value <= 0):
            expected = "a positive int" if kind is int else f"a {kind.__name__}"
            raise WeightsError(f"{path}: {name} must be {expected}, not {value!r:.60}")
    return config


def open_session(folder: Path, sha256: str, threads: int | None = None) -> "InferenceSession":
    """An ONNX Runtime session on the folder's ``model.onnx``.

    The bytes that are checked are the bytes that are loaded, so a model cannot refer to other files.

    Args:
        folder: the weights folder.
        sha256: what the model file must hash to.
        threads: CPU threads inside one operation; None leaves the choice to the runtime.

    Raises:
        WeightsError: missing, of another hash, or not a model that this runtime can load.
    """
    import onnxruntime as ort

    path = folder / "model.onnx"
    data = _read(path, _MAX_MODEL_BYTES)
    if (found := hashlib.sha256(data).hexdigest()) != sha256:
        raise WeightsError(f"{path}: has sha256 {found[:12]}..., config.json says {sha256[:12]}...; install the weights again")
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads or 0
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    # Idle workers must not spin: they would take the core on which the face tracker runs.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    available = ort.get_available_providers()
    try:
        return ort.InferenceSession(data, options, providers=[p for p in _PROVIDERS if p in available])
    except Exception as error:  # ONNX Runtime raises its own unrelated classes
        raise WeightsError(f"{path}: cannot be loaded ({str(error).splitlines()[0]:.160})") from error


Shapes = Mapping[str, tuple[int | None, ...]]
"""Shape by name; None stands for a free dimension."""


def check_graph(folder: Path, session: "InferenceSession", inputs: Shapes, outputs: Shapes) -> None:
    """Refuse a graph whose inputs or outputs are not those expected.

    Raises:
        WeightsError: an input or output is missing, unknown or of another shape.
    """
    for kind, expected, found in (("input", inputs, session.get_inputs()), ("output", outputs, session.get_outputs())):
        shapes = {node.name: node.shape for node in found}
        if shapes.keys() != expected.keys():
            raise WeightsError(f"{folder / 'model.onnx'}: expected the {kind}s {', '.join(expected)}, found {', '.join(shapes)}")
        for name, shape in expected.items():
            same = len(shape) == len(shapes[name]) and all(
                want == have if want is not None else not isinstance(have, int) for want, have in zip(shape, shapes[name], strict=True)
            )
            if not same:
                raise WeightsError(f"{folder / 'model.onnx'}: {kind} {name} has shape {shapes[name]}, expected {list(shape)} (None = free)")


def _read(path: Path, limit: int) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(limit + 1)
    except OSError as error:
        raise WeightsError(f"{path}: cannot be read ({error.strerror}); install FreeAvatar again or name another weights folder") from error
    if len(data) > limit:
        raise WeightsError(f"{path}: is larger than {limit >> 20} MB; this is not a FreeAvatar weights file")
    return data

"""A trained network on disk: a folder with ``config.json`` and ``model.onnx``, checked strictly, run by ONNX Runtime.

A folder may hold the network at a second precision, ``model_<precision>.onnx``, listed in its config under ``variants``.
The ``sha256`` of ``model.onnx`` names the network, whichever of its graphs runs.
"""

import hashlib
import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from freeavatar.bounded import read_bounded
from freeavatar.errors import WeightsError
from freeavatar.providers import CPU, candidates, install_step, prepare

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

FORMAT: Final = 1
PRECISIONS: Final = ("float32", "int8")
WEIGHTS: Final = Path(__file__).parent / "weights"
"""Where the shipped weights lie: one folder a network."""
REINSTALL: Final = "install FreeAvatar again or name another weights folder"
_MAX_CONFIG_BYTES: Final = 4 << 20
_MAX_MODEL_BYTES: Final = 1 << 30
_MAX_INT: Final = 65536
_LOG: Final = logging.getLogger("freeavatar")

Fields = Mapping[str, type]
Shapes = Mapping[str, tuple[int | None, ...]]
"""Shape by name; None stands for a free dimension."""


class _ProviderError(Exception):
    """A provider other than the CPU does not start."""


def read_config(folder: Path, fields: Fields, optional: Fields | None = None) -> dict[str, Any]:
    """The folder's ``config.json`` with exactly the fields ``format`` and ``sha256`` and those given, of the given types.

    Args:
        folder: the weights folder.
        fields: name and type of each field that must be there.
        optional: name and type of each field that may be missing.

    Raises:
        WeightsError: missing, too large, not JSON, another format, or a field that is missing, unknown or of a wrong type.
    """
    path = folder / "config.json"
    try:
        config = json.loads(read_bounded(path, _MAX_CONFIG_BYTES, WeightsError, REINSTALL))
    except (ValueError, RecursionError) as error:
        raise WeightsError(f"{path}: is not valid JSON ({error}); install the weights again") from error
    if not isinstance(config, dict) or config.get("format") != FORMAT:
        raise WeightsError(f"{path}: expected a JSON object of format {FORMAT}; these weights need another version of FreeAvatar")
    fields = {"format": int, "sha256": str, **fields}
    known = {**fields, **(optional or {})}
    if missing := sorted(fields.keys() - config.keys()):
        raise WeightsError(f"{path}: lacks {', '.join(missing)}; install the weights again")
    if unknown := sorted(config.keys() - known.keys()):
        raise WeightsError(f"{path}: has unknown fields {', '.join(unknown):.160}; these weights need another version of FreeAvatar")
    for name, value in config.items():
        kind = known[name]
        if type(value) is not kind or (isinstance(value, int) and not 0 < value <= _MAX_INT):
            expected = f"a positive int up to {_MAX_INT}" if kind is int else f"a {kind.__name__}"
            raise WeightsError(f"{path}: {name} must be {expected}, not {value!r:.60}")
    return config


def open_session(
    folder: Path, config: Mapping[str, Any], threads: int | None = None, provider: str | None = None, variant: str | None = None
) -> "InferenceSession":
    """An ONNX Runtime session on one of the folder's graphs.

    The CPU runs ``model.onnx``; another provider runs the float32 graph if there is one, since int8 is made for the CPU.
    The bytes that are checked are the bytes that are loaded, so a model cannot refer to other files.

    Args:
        folder: the weights folder.
        config: its config: ``sha256``, and ``precision`` and ``variants`` where there are several graphs.
        threads: CPU threads inside one operation; None leaves the choice to the runtime.
        provider: a name from :mod:`freeavatar.providers`; None takes the best one that starts.
        variant: one of :data:`PRECISIONS`; None leaves the choice to the provider.

    Raises:
        WeightsError: missing, of another hash, not a model that this runtime can load, or no such provider or variant.
    """
    for name in candidates(provider):
        file, sha256 = _graph(folder, config, variant, name)
        try:
            return _start(folder / file, sha256, threads, name)
        except _ProviderError as error:
            if provider is not None:
                raise WeightsError(f"the provider {name} does not start ({error}): {install_step(name)}, or use cpu") from error
            _LOG.warning("the provider %s does not start (%s); the CPU takes its place", name, error)
    raise AssertionError("the CPU starts or raises another error")


def check_graph(folder: Path, session: "InferenceSession", inputs: Shapes, outputs: Shapes) -> None:
    """Refuse a graph whose inputs or outputs are not those expected, declared or when it runs on zeros.

    Raises:
        WeightsError: an input or output is missing, unknown, of another shape or not float32, or an output is not finite.
    """
    for kind, expected, found in (("input", inputs, session.get_inputs()), ("output", outputs, session.get_outputs())):
        shapes = {node.name: node.shape for node in found}
        if shapes.keys() != expected.keys():
            raise WeightsError(f"{folder}: the graph should have the {kind}s {', '.join(expected)}, not {', '.join(shapes)}")
        for node in found:
            shape = expected[node.name]
            same = len(shape) == len(node.shape) and all(
                want == have if want is not None else not isinstance(have, int) for want, have in zip(shape, node.shape, strict=True)
            )
            if not same or node.type != "tensor(float)":
                wanted = f"expected float of {list(shape)} (None = free)"
                raise WeightsError(f"{folder}: the graph's {kind} {node.name} has shape {node.shape} of {node.type}, {wanted}")
    zeros = {name: np.zeros([size or 1 for size in shape], np.float32) for name, shape in inputs.items()}
    try:
        values = session.run(list(outputs), zeros)
    except Exception as error:  # ONNX Runtime raises its own unrelated classes
        raise WeightsError(f"{folder}: the graph does not run ({_first_line(error)}); install the weights again") from error
    for (name, shape), value in zip(outputs.items(), values, strict=True):
        if value.shape != tuple(size or 1 for size in shape):
            raise WeightsError(f"{folder}: the graph's output {name} comes out with shape {value.shape}, expected {shape} (None = 1)")
        if not np.isfinite(value).all():
            raise WeightsError(f"{folder}: the graph's output {name} is not finite; install the weights again")


def _graph(folder: Path, config: Mapping[str, Any], variant: str | None, provider: str) -> tuple[str, str]:
    """File name and sha256 of the graph to run."""
    own, variants = config.get("precision", "float32"), config.get("variants", {})
    for name in (own, *variants):
        if name not in PRECISIONS:
            raise WeightsError(f"{folder / 'config.json'}: unknown variant {name!r:.60}; expected {' or '.join(PRECISIONS)}")
    if variant is None and provider != CPU and "float32" in variants:
        variant = "float32"
    if variant in (None, own):
        return "model.onnx", config["sha256"]
    if variant not in variants:
        raise WeightsError(f"{folder}: holds no graph {variant!r}; it holds {', '.join((own, *variants))}")
    return f"model_{variant}.onnx", variants[variant]


def read_checked(path: Path, sha256: str) -> bytes:
    """The bytes of a file that a config names by its hash.

    Raises:
        WeightsError: missing, too large, or of another hash.
    """
    data = read_bounded(path, _MAX_MODEL_BYTES, WeightsError, REINSTALL)
    if (found := hashlib.sha256(data).hexdigest()) != sha256:
        raise WeightsError(f"{path}: has sha256 {found[:12]}..., config.json says {sha256!s:.12}...; install the weights again")
    return data


def _start(path: Path, sha256: str, threads: int | None, provider: str) -> "InferenceSession":
    import onnxruntime as ort

    data = read_checked(path, sha256)
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads or 0
    options.inter_op_num_threads = 1
    options.log_severity_level = 3 if provider == CPU else 4  # of a provider that does not start we say so ourselves
    # Idle workers must not spin: they would take the core on which the face tracker runs.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    wanted = prepare(provider)
    try:
        session = ort.InferenceSession(data, options, providers=wanted, enable_fallback=0)
    except Exception as error:  # ONNX Runtime raises its own unrelated classes
        if provider != CPU:
            raise _ProviderError(_first_line(error)) from error
        raise WeightsError(f"{path}: cannot be loaded ({_first_line(error)})") from error
    if session.get_providers()[0] != wanted[0]:  # it drops without an exception what it cannot load
        raise _ProviderError("its libraries or its device are missing")
    return session


def _first_line(error: Exception) -> str:
    return f"{(str(error).splitlines() or [type(error).__name__])[0]:.160}"

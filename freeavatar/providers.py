"""What runs a network: ONNX Runtime's execution providers, by short names."""

import contextlib
import sys
from typing import Final

from freeavatar.errors import WeightsError

CPU: Final = "cpu"
_FULL_NAMES: Final = {
    "tensorrt": "TensorrtExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "migraphx": "MIGraphXExecutionProvider",  # AMD's ROCm
    "directml": "DmlExecutionProvider",
    "coreml": "CoreMLExecutionProvider",
    CPU: "CPUExecutionProvider",
}
"""In order of preference."""
_ON_REQUEST: Final = "tensorrt"
"""Compiles an engine at every start, for seconds to minutes, so it is never chosen unasked."""
_INSTALL: Final = {
    "tensorrt": "pip uninstall onnxruntime, then pip install 'onnxruntime-gpu[cuda,cudnn]' tensorrt",
    "cuda": "pip uninstall onnxruntime, then pip install 'onnxruntime-gpu[cuda,cudnn]'",
    "migraphx": "pip uninstall onnxruntime, then install AMD's onnxruntime-migraphx (rocm.docs.amd.com)",
    "directml": "on Windows, pip uninstall onnxruntime, then pip install onnxruntime-directml",
    "coreml": "on a Mac, pip install onnxruntime",
}


def available() -> list[str]:
    """Names of the providers that the installed ONNX Runtime was built with, best first; ``cpu`` is the last."""
    import onnxruntime as ort

    built = ort.get_available_providers()
    return [name for name, full in _FULL_NAMES.items() if full in built]


def candidates(provider: str | None) -> list[str]:
    """The providers to try, in order: the one asked for, or else the best one and then the CPU.

    Args:
        provider: a name; None chooses.

    Raises:
        WeightsError: there is no such provider, or it is not installed.
    """
    here = available()
    if provider is None:
        best = next(name for name in here if name != _ON_REQUEST)
        return [best] if best == CPU else [best, CPU]
    if provider in here:
        return [provider]
    if provider in _INSTALL:
        raise WeightsError(f"the provider {provider} is not installed: {_INSTALL[provider]}; available here: {', '.join(here)}")
    raise WeightsError(f"unknown provider {provider!r:.40}; available here: {', '.join(here)}")


def short_name(full: str) -> str:
    """Our name of one of ONNX Runtime's providers; its own where we have none."""
    return next((name for name, known in _FULL_NAMES.items() if known == full), full)


def install_step(provider: str) -> str:
    """How to get a provider other than the CPU."""
    return _INSTALL[provider]


def prepare(provider: str) -> list[str]:
    """ONNX Runtime's names of a provider and of those that take the operations it lacks; loads libraries that pip installed."""
    import onnxruntime as ort

    names = [provider, CPU] if provider != CPU else [CPU]
    if provider in ("cuda", "tensorrt"):
        names = list(dict.fromkeys([provider, "cuda", CPU]))
        # ONNX Runtime looks for them in the system's folders alone. What it has to say must not get among our results.
        with contextlib.redirect_stdout(sys.stderr):
            if provider == "tensorrt":
                with contextlib.suppress(ImportError):
                    import tensorrt_libs  # type: ignore[import-not-found]  # noqa: F401
            ort.preload_dlls()
    return [_FULL_NAMES[name] for name in names]

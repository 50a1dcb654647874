"""Synthetic people: textured head meshes whose expression, gaze and identity are known exactly.

Two of three families; the third is in :mod:`freeavatar_renderer.anny`. **VALID** (Do et al. 2022, MIT): photo-textured heads
with 65 facial morphs that share one texture atlas, so that skins can be exchanged and mixed between people.
**ICT-FaceKit** (Li et al. 2020, MIT): 100 identity modes and 57 shapes with ARKit names; it borrows its skin from a VALID
atlas through transferred texture coordinates. Both are read from packs below ``FREEAVATAR_DATA``; units are metres, Y up,
the face looks along +Z.
"""

import functools
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from freeavatar import arkit
from freeavatar.errors import SourceError
from freeavatar.types import Image
from freeavatar_renderer import head_map

Floats = NDArray[np.float32]
Skin = str | tuple[int, int, int]
"""Name of a texture of the head, or one plain RGB colour."""

ICT_SCALE: Final = 0.01
"""ICT-FaceKit is in centimetres."""
_OUT: Final = (1.1, 0.5, 1.1)
"""Of the way that a VALID tongue moves to the side, up and out of the mouth; any higher it would cut through the upper lip."""
_WIDE: Final = 0.03
"""Metres that the lower teeth of a VALID head come down by when its mouth is open wide."""
_ICT_PARTS: Final[dict[str, tuple[int, int]]] = {
    "face": (0, 9409), "back": (9409, 11248), "mouth": (11248, 13294), "gums": (14062, 17039), "teeth": (17039, 21451),
    "eye_left": (21451, 23021), "eye_right": (23021, 24591),
}  # fmt: skip
"""Vertex ranges (first, last + 1) of the parts that are drawn; eye blend and occlusion shells are left out,
and so are the lashes, which need an alpha texture that the pack lacks."""


@dataclass(frozen=True)
class Part:
    """One mesh of a head.

    Attributes:
        vertices: (V, 3) metres.
        faces: (F, 3) vertex indices.
        uv: (V, 2) texture coordinates, origin at the image's top left.
        morphs: (K, V, 3) displacement of each of the head's expression weights; None where the part keeps its shape.
        skin: texture name or plain colour.
    """

    name: str
    vertices: Floats
    faces: NDArray[np.int32]
    uv: Floats
    morphs: NDArray[np.float16] | None = None
    skin: Skin = "body"


@dataclass(frozen=True)
class Head:
    """A person: meshes, textures, and the names of the expression weights.

    Attributes:
        name: identity.
        family: ``valid``, ``ict`` or ``anny``; decides the map to ARKit.
        names: (K,) names of the expression weights.
        eyes: (2, 3) pivots of the subject's left and right eyeball.
        textures: (H, W, 3) RGB uint8 by name.
    """

    name: str
    family: str
    names: tuple[str, ...]
    parts: tuple[Part, ...]
    eyes: Floats
    textures: Mapping[str, Image] = field(default_factory=dict)

    @property
    def eye_distance(self) -> float:
        """Distance between the eyeball centres in metres."""
        return float(np.linalg.norm(self.eyes[0] - self.eyes[1]))

    def arkit(self, weights: Floats, gaze: tuple[float, float]) -> Floats:
        """(52,) ARKit weights of an expression: the family's map, eyeLook from the gaze.

        Args:
            weights: (K,) expression weights.
            gaze: yaw, pitch in radians.
        """
        truth = np.asarray(np.clip(weights @ head_map.to_arkit(self.family, self.names), 0, 1), np.float32)
        for one, other in arkit.DIRECTIONS:  # drawn together they cancel, so only the rest of the stronger one is seen
            net = truth[arkit.INDEX[one]] - truth[arkit.INDEX[other]]
            truth[arkit.INDEX[one]], truth[arkit.INDEX[other]] = max(net, 0.0), max(-net, 0.0)
        for name, value in arkit.eye_look(*gaze).items():
            truth[arkit.INDEX[name]] = value
        return truth

    def express(self, shapes: Mapping[str, float]) -> Floats:
        """(K,) expression weights that come closest to the given ARKit weights."""
        return np.asarray(np.clip(arkit.weights(shapes) @ head_map.from_arkit(self.family, self.names), 0, 1), np.float32)


def data_root() -> Path:
    """The folder of training data.

    Raises:
        SourceError: ``FREEAVATAR_DATA`` is not set or is no folder.
    """
    root = os.environ.get("FREEAVATAR_DATA", "")
    if not root or not Path(root).is_dir():
        raise SourceError("synthetic people need the head packs: set FREEAVATAR_DATA to the folder of valid_heads/ and ict_facekit/")
    return Path(root)


def valid_people() -> list[str]:
    """Names of the VALID heads at hand, sorted."""
    return sorted(p.stem for p in (data_root() / "valid_heads").glob("*.npz"))


def _texture(jpeg: NDArray[np.uint8]) -> Image:
    return np.ascontiguousarray(np.asarray(cv2.imdecode(jpeg, cv2.IMREAD_COLOR), np.uint8)[..., ::-1])


def _valid_path(name: str) -> Path:
    path = data_root() / "valid_heads" / f"{name}.npz"
    if not path.is_file():
        raise SourceError(f"no head {name!r}: expected one of {', '.join(valid_people())}")
    return path


@functools.lru_cache(maxsize=48)
def _tongue(name: str) -> dict[str, NDArray[np.float16]]:
    """What moves a VALID head's lower teeth and tongue, (V, 3) displacements by name."""
    with np.load(_valid_path(name), allow_pickle=False) as z:
        return {str(n): m for n, m in zip(z["teeth_lower_morph_names"], z["teeth_lower_morphs"], strict=True)}


@functools.lru_cache(maxsize=48)
def load_valid(name: str) -> Head:
    """A VALID head by name, such as ``Asian_M_1``.

    The lower teeth and the tongue follow the skin's speech and jaw morphs (``t_<name>``); one more weight,
    ``tongueOut``, pushes the tongue out.
    """
    tongue = _tongue(name)
    with np.load(_valid_path(name), allow_pickle=False) as z:
        names = (*(str(n) for n in z["skin_morph_names"]), "tongueOut")
        zero = np.zeros_like(tongue["OutMiddle_tg"])
        # OutMiddle alone points straight at the camera, where it looks like a tongue that lies in an open mouth.
        out = tongue["OutMiddle_tg"] * np.array(_OUT, np.float16) + tongue["CurlDown_Out_tg"]
        follow = np.stack([*(tongue.get(f"t_{n}", zero) for n in names[:-1]), out])
        skin = z["skin_vertices"]
        morphs = np.concatenate([z["skin_morphs"], np.zeros((1, *skin.shape), np.float16)])
        parts = [Part("skin", *_near_head(skin, z["skin_faces"]), z["skin_uv"], morphs)]
        parts += [
            Part(p, z[f"{p}_vertices"], z[f"{p}_faces"], z[f"{p}_uv"], follow if p == "teeth_lower" else None)
            for p in ("eye_left", "eye_right", "gland_left", "gland_right", "teeth_lower", "teeth_upper")
        ]
        textures = {"body": _texture(z["body_jpg"])}
        if "hair_vertices" in z:
            own = "hair_jpg" in z
            parts.append(Part("hair", z["hair_vertices"], z["hair_faces"], z["hair_uv"], skin="hair" if own else "body"))
            if own:
                textures["hair"] = _texture(z["hair_jpg"])
        eyes = np.stack([z["eye_left_centre"], z["eye_right_centre"]]).astype(np.float32)
    return Head(name, "valid", names, tuple(parts), eyes, textures)


def lay_tongue(head: Head, rng: np.random.Generator) -> Head:
    """A VALID head whose tongue lies higher or further forward in its mouth the wider that opens.

    Where a tongue lies differs from person to person, and one that is seen well is not yet out.
    """
    own = _tongue(head.name)
    lie = rng.uniform(0, 0.5) * own["OutMiddle_tg"].astype(np.float32) + rng.uniform(0, 0.3) * own["Up_tg"].astype(np.float32)
    still = ~own["OutMiddle_tg"].any(1)  # the teeth

    def laid(part: Part) -> Part:
        if part.name != "teeth_lower" or part.morphs is None:
            return part
        opened = np.clip(-part.morphs[:, still, 1].astype(np.float32).mean(1) / _WIDE, 0, 1)  # (K,)
        return replace(part, morphs=(part.morphs + opened[:, None, None] * lie).astype(np.float16))

    return replace(head, parts=tuple(laid(p) for p in head.parts))


def _near_head(vertices: Floats, faces: NDArray[np.int32]) -> tuple[Floats, NDArray[np.int32]]:
    """Drop the triangles of the arms: they are never in the picture."""
    return vertices, np.ascontiguousarray(faces[(np.abs(vertices[faces][..., 0]) < 0.25).all(1)])


@functools.cache
def _ict() -> dict[str, NDArray[Any]]:
    with np.load(data_root() / "ict_facekit" / "ict_facekit_light.npz", allow_pickle=False) as z:
        return {k: z[k] for k in ("neutral", "faces", "identity", "expression", "expression_names")}


def ict_arkit_name(name: str) -> str:
    """The ARKit name of an ICT shape: ``_L``/``_R`` become Left and Right; shapes split by ICT lose their side."""
    base = name.removesuffix("_L").removesuffix("_R")
    if base in arkit.INDEX:
        return base
    return name.replace("_L", "Left").replace("_R", "Right")


def load_ict(seed: int, strength: float = 0.8) -> Head:
    """An ICT-FaceKit identity drawn from a seed; ``strength`` is the standard deviation of its 100 modes.

    The skin is one grey until :func:`dress` puts a VALID atlas on it.
    """
    z = _ict()
    modes = np.random.default_rng(seed).normal(0, strength, len(z["identity"])).clip(-2, 2).astype(np.float32)
    vertices = ((z["neutral"] + np.tensordot(modes, z["identity"].astype(np.float32), 1)) * ICT_SCALE).astype(np.float32)
    names = tuple(str(n) for n in z["expression_names"])
    uv, plain = head_map.ict_uv(), {"mouth": (70, 22, 22), "gums": (150, 72, 72), "teeth": (232, 226, 210)}
    parts, eyes = [], []
    for part, (a, b) in _ICT_PARTS.items():
        inside = ((z["faces"] >= a) & (z["faces"] < b)).all(1)
        own = vertices[a:b]
        if part.startswith("eye_"):
            eyes.append((own.max(0) + own.min(0)) / 2)
        # The eyeballs turn by their pivots, so the shapes that would turn them are left out.
        morphs = None if part.startswith("eye_") else _ict_morphs(a, b)
        parts.append(Part(part, own, z["faces"][inside].astype(np.int32) - a, uv[a:b], morphs, plain.get(part, "body")))
    return Head(f"ict_{seed}", "ict", names, tuple(parts), np.stack(eyes).astype(np.float32), {"body": np.full((4, 4, 3), 170, np.uint8)})


@functools.cache
def _ict_morphs(first: int, last: int) -> NDArray[np.float16]:
    return (_ict()["expression"][:, first:last].astype(np.float32) * ICT_SCALE).astype(np.float16)


def dress(head: Head, body: Image, hair: Image | None = None) -> Head:
    """The same head with another skin atlas (and hair texture where it has hair of its own)."""
    textures = {**head.textures, "body": body}
    if hair is not None and "hair" in textures:
        textures["hair"] = hair
    return replace(head, textures=textures)


def reshape(head: Head, rng: np.random.Generator, strength: float = 1.0) -> Head:
    """A new identity near ``head``: stretched by a few per cent and bent by smooth bumps of a few millimetres.

    Eyeballs move as a whole, so that they stay round. Expression displacements keep their size.
    """
    centre = head.eyes.mean(0)
    scale = (1 + strength * rng.normal(0, 0.035, 3)).astype(np.float32)
    bumps = rng.integers(10, 18)
    where = (centre + rng.uniform((-0.07, -0.12, -0.03), (0.07, 0.05, 0.05), (bumps, 3))).astype(np.float32)
    push = (strength * rng.normal(0, 0.0022, (bumps, 3))).astype(np.float32)
    # Faces are nearly symmetric: most of each bump is repeated on the other side.
    where = np.concatenate([where, where * (-1, 1, 1)]).astype(np.float32)
    push = np.concatenate([push, push * (-0.8, 0.8, 0.8)]).astype(np.float32)
    width = np.tile(rng.uniform(0.025, 0.06, bumps), 2).astype(np.float32)

    def bend(points: Floats) -> Floats:
        squared = ((points[:, None] - where) ** 2).sum(-1)
        return np.asarray((points - centre) * scale + centre + np.exp(-squared / (2 * width**2)) @ push, np.float32)

    eyes = bend(head.eyes)
    side = {"eye_left": 0, "eye_right": 1}
    parts = tuple(
        replace(p, vertices=p.vertices + (eyes - head.eyes)[side[p.name]] if p.name in side else bend(p.vertices)) for p in head.parts
    )
    return replace(head, parts=parts, eyes=eyes)

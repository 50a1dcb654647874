"""Fit the map between head families and ARKit by displacement, and lay the VALID texture atlas on the others.

usage: python tools/fit_head_map.py [--plot docs/images/head_map.png]      (needs FREEAVATAR_DATA and anny 0.6.2)

Corresponding points come from MediaPipe's 478 landmarks on frontal renders with the mouth slightly open (so that upper
and lower lip are told apart), cast back onto each mesh. ICT's shapes have ARKit's names and are the measure. The ARKit
weights of a VALID morph are the non-negative least squares solution of its displacements in the shapes that it may mean;
Anny's have ARKit's names, and displacement tells their size. Displacements are in units of the distance between the eyes,
every face region equally heavy. The space of skin movements is spanned by VALID and ICT; Anny is projected on it.
Result: renderer/freeavatar_renderer/head_map.npz.
"""

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import RBFInterpolator
from scipy.optimize import lsq_linear
from scipy.spatial import cKDTree

from freeavatar import arkit
from freeavatar.face import FaceTracker
from freeavatar.output import replacing
from freeavatar.types import Frame
from freeavatar_renderer import head_map
from freeavatar_renderer.anny import average_skin, load_anny
from freeavatar_renderer.heads import Head, Part, ict_arkit_name, load_ict, load_valid
from freeavatar_renderer.portrait import PortraitRenderer, Scene, _shaped, place

SIZE = 512
PEOPLE = (
    "White_F_1", "White_M_1", "Asian_F_1", "Asian_M_1", "Black_F_3",
    "Black_M_1", "Hispanic_M_2", "MENA_F_1", "AIAN_M_1", "X_AIAN_M_1",
)  # fmt: skip
ANNY_SEEDS = range(12)
EXPRESSIBLE = 0.25
"""A family expresses an ARKit shape if its weights reproduce at least this share of the shape's squared displacement, ..."""
RETURNED = 0.3
"""... comes back with at least this weight when it is asked for, ..."""
ALIKE = 0.45
"""... and, where its weights have ARKit's names, if the cosine of both displacements is at least this."""
BALANCE = 0.5
"""How far small regions are weighed up in the fits (0 not at all, 1 fully): a brow must count beside a jaw, but a mouth's
shapes are not judged by what little they do to the lids."""
LARGEST = 1.2
"""Bound of an ARKit weight: what would need more is not the same movement."""

_MEANT = {
    "AE_AA": ("jawOpen",), "AO_a": ("jawOpen",), "MouthOpen": ("jawOpen",), "Shout": ("jawOpen",), "Chew": ("jawOpen",),
    "Ax_E": ("mouthPucker", "jawOpen"), "UH_OO": ("mouthFunnel", "jawOpen"), "UW_U": ("mouthPucker", "jawOpen"),
    "KG": ("mouthFunnel", "jawOpen"), "SH_CH": ("mouthFunnel",), "Kiss": ("mouthPucker",),
    "TD_I": ("mouthStretch*", "mouthSmile*", "jawOpen"), "H_EST": ("mouthStretch*", "mouthSmile*", "jawOpen"),
    "S": ("mouthStretch*", "mouthLowerDown*", "mouthUpperUp*"), "FV": ("mouthRollLower", "mouthUpperUp*", "jawOpen"),
    "MPB_Up": ("mouthRollUpper",), "MPB_Down": ("mouthRollLower",), "JawCompress": ("mouthPress*", "mouthRollUpper", "mouthRollLower"),
    "JawFront": ("jawForward",), "Chin": ("mouthShrugLower",),
    "?lipUp": ("mouthUpperUp?",), "?lipDown": ("mouthLowerDown?",), "?lipSide": ("mouthStretch?", "mouthDimple?"),
    "?lipCorner": ("mouthDimple?", "mouthStretch?", "mouthPress?"), "?jaw": ("jaw?",), "?smileClose": ("mouthSmile?",),
    "?smileOpen": ("mouthSmile?", "mouthLowerDown?", "mouthUpperUp?", "mouthStretch?"), "?mouthSad": ("mouthFrown?",),
    "?disgust": ("noseSneer?",), "?blow": ("cheekPuff",), "?eyeClose": ("eyeBlink?",), "?eyeOpen": ("eyeWide?",),
    "?squint": ("eyeSquint?", "eyeBlink?", "browDown?"), "?lowLid": ("eyeSquint?",), "?sad": ("browInnerUp",),
    "?pityful": ("browInnerUp", "browDown?"), "?browUp": ("browInnerUp", "browOuterUp?"), "??browUp": ("browOuterUp?",),
    "?browDown": ("browDown?",), "??browDown": ("browDown?",),
}  # fmt: skip
"""What each VALID morph may mean (``?`` is a side, ``*`` both): displacement decides how much of it, never of what else.
The first of them serves to express that shape.
Without this, small differences between two sculptors' heads come out as jaws pushed forward and lips pressed."""


_BOTH_SIDES = ("TD_I", "H_EST", "S", "JawCompress")
"""Morphs that move what ARKit has apart for each side; they serve to express nothing."""


def meant() -> dict[str, list[int]]:
    """Indices of the ARKit shapes that each VALID morph may mean."""
    table: dict[str, list[int]] = {}
    for morph, shapes in _MEANT.items():
        for letter, side in (("L", "Left"), ("R", "Right")):
            each = (s.replace("?", side).replace("*", other) for s in shapes for other in (("Left", "Right") if "*" in s else ("",)))
            table[morph.replace("?", letter)] = [arkit.INDEX[s] for s in each]
    return table


class Anchors:
    """The landmarks of one head as points on its skin: triangle corners (478, 3) and barycentric weights (478, 3)."""

    def __init__(self, head: Head, part: Part, open_mouth: str, renderer: PortraitRenderer, tracker: FaceTracker) -> None:
        weights = np.zeros(len(head.names), np.float32)
        weights[head.names.index(open_mouth)] = 0.3
        scene = Scene(weights, height=0.27, fov=0.3)
        crop = tracker.track(Frame(renderer.render(head, scene), 0.0, 0))
        if crop is None:
            raise SystemExit(f"no face found on the render of {head.name}")
        assert crop.landmarks is not None  # a tracker's crop has them
        turn, shift = place(head, scene)
        seen = _shaped(part, weights) @ turn.T + shift
        focal = SIZE / 2 / np.tan(scene.fov / 2)
        pixels = np.column_stack([SIZE / 2 - focal * seen[:, 0] / seen[:, 2], SIZE / 2 + focal * seen[:, 1] / seen[:, 2]])
        self.corners, self.weights = _cast(crop.landmarks[:, :2], pixels, seen[:, 2], part.faces)
        self.points = self.at(part.vertices)

    def at(self, field: NDArray[np.floating]) -> NDArray[np.float64]:
        """(478, 3) values of a per-vertex (V, 3) field."""
        return np.asarray((field[self.corners].astype(np.float64) * self.weights[..., None]).sum(1))


def _cast(
    points: NDArray[np.floating], pixels: NDArray[np.floating], depth: NDArray[np.floating], faces: NDArray[np.int32]
) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
    """The nearest triangle below each pixel, else the nearest vertex."""
    a, b, c = (pixels[faces[:, k]] for k in range(3))
    area = (b[:, 0] - a[:, 0]) * (c[:, 1] - a[:, 1]) - (b[:, 1] - a[:, 1]) * (c[:, 0] - a[:, 0])
    front = area < -1e-9  # counter-clockwise in a frame whose y points down
    corners, weights = np.zeros((len(points), 3), np.int32), np.zeros((len(points), 3))
    used = np.unique(faces[front])
    for i, p in enumerate(points):
        u = ((b[:, 0] - p[0]) * (c[:, 1] - p[1]) - (b[:, 1] - p[1]) * (c[:, 0] - p[0])) / np.where(front, area, 1)
        v = ((c[:, 0] - p[0]) * (a[:, 1] - p[1]) - (c[:, 1] - p[1]) * (a[:, 0] - p[0])) / np.where(front, area, 1)
        hit = np.flatnonzero(front & (u >= 0) & (v >= 0) & (u + v <= 1))
        if len(hit):
            best = hit[np.argmax(depth[faces[hit]].mean(1))]  # the camera looks along -Z: the largest z is nearest
            corners[i], weights[i] = faces[best], (u[best], v[best], 1 - u[best] - v[best])
        else:
            corners[i] = used[np.argmin(((pixels[used] - p) ** 2).sum(1))]
            weights[i, 0] = 1
    return corners, weights


def displacements(head: Head, part: Part, anchors: Anchors) -> NDArray[np.float64]:
    """(K, 478*3) displacement of the landmarks under each expression weight, in eye distances."""
    assert part.morphs is not None
    return np.stack([anchors.at(m).ravel() for m in part.morphs]) / head.eye_distance


def bounded(target: NDArray[np.float64], basis: NDArray[np.float64], most: float) -> NDArray[np.float64]:
    """Weights of ``basis`` (K, P) in 0..most that come closest to ``target`` (P,)."""
    return np.asarray(lsq_linear(basis.T, target, (0, most)).x if len(basis) else np.zeros(0))


@dataclass(frozen=True)
class Fit:
    """A family's map: ``to_arkit`` (K, 52), ``from_arkit`` (52, K), ``mask`` (52,) and ``explained`` (52,) share of the movement."""

    names: tuple[str, ...]
    to_arkit: NDArray[np.float64]
    from_arkit: NDArray[np.float64]
    mask: NDArray[np.bool_]
    explained: NDArray[np.float64]

    def describe(self, k: int) -> str:
        """One line about an ARKit shape."""
        best = [j for j in np.argsort(-self.from_arkit[k])[:4] if self.from_arkit[k, j] > 0]
        parts = ", ".join(f"{self.names[j]} {self.from_arkit[k, j]:.2f}" for j in best)
        return f"explained {self.explained[k]:5.2f} {'' if self.mask[k] else 'MASKED'}  {parts}"


def fit_valid(names: tuple[str, ...], moves: NDArray[np.float64], reference: NDArray[np.float64]) -> Fit:
    """Map VALID by displacement, each morph within what it means.

    Two sculptors' smiles are never quite parallel, so least squares there and back lose twice: an expression asked for in
    ARKit weights would come out labelled weaker than it looks. Its label is therefore scaled to the size of what is seen.

    Args:
        names: (K,) the weights, ``tongueOut`` among them.
        moves: (K, P) their displacements, every face region scaled to the same energy.
        reference: (52, P) those of the ARKit shapes.
    """
    shapes, means = len(arkit.NAMES), meant()
    to, back, explained, size = np.zeros((len(names), shapes)), np.zeros((shapes, len(names))), np.zeros(shapes), np.zeros(shapes)
    for i, name in enumerate(names):
        to[i, means.get(name, [])] = bounded(moves[i], reference[means.get(name, [])], np.inf)
    for k in range(shapes):
        able = [i for i, name in enumerate(names) if means.get(name, [])[:1] == [k] and name not in _BOTH_SIDES]
        if reference[k].any() and able:
            back[k, able] = bounded(reference[k], moves[able], 1.0)
            shown = back[k] @ moves
            explained[k] = 1 - ((reference[k] - shown) ** 2).sum() / (reference[k] ** 2).sum()
            size[k] = _size(shown, reference[k])
    to = np.minimum(to * np.clip(size / np.maximum(np.diag(back @ to), 1e-6), 1, 2), LARGEST)
    return _with_certain(Fit(names, to, back, (explained > EXPRESSIBLE) & (np.diag(back @ to) > RETURNED), explained))


def fit_anny(moves: NDArray[np.float64], reference: NDArray[np.float64]) -> Fit:
    """Map Anny, whose weights have ARKit's names: displacement says how large each is, and whether it is the same at all."""
    shapes = len(arkit.NAMES)
    lengths = np.linalg.norm(moves, axis=1) * np.linalg.norm(reference, axis=1)
    alike = np.einsum("kp,kp->k", moves, reference) / np.maximum(lengths, 1e-9)
    sizes = [_size(m, r) if r.any() else 0.0 for m, r in zip(moves, reference, strict=True)]
    return _with_certain(Fit(arkit.NAMES, np.diag(sizes), np.eye(shapes), alike > ALIKE, alike))


def _size(shown: NDArray[np.float64], reference: NDArray[np.float64]) -> float:
    """The ARKit weight that a movement is worth, at most 1.

    ARKit's 1 is as far as a person goes; heads differ in that by up to a factor of three. So a family's full movement
    counts half way (on a logarithmic scale) between 1 and its size beside ICT's.
    """
    return float(np.sqrt(min(1.0, float(np.linalg.norm(shown) / np.linalg.norm(reference)))))


def _with_certain(fitted: Fit) -> Fit:
    """The fit with what displacement cannot tell: a closed lid is closed however far it travelled, a tongue is no skin."""
    for name, own in (("eyeBlinkLeft", "LeyeClose"), ("eyeBlinkRight", "ReyeClose"), ("tongueOut", "tongueOut")):
        k = arkit.INDEX[name]
        i = fitted.names.index(name if name in fitted.names else own)
        fitted.to_arkit[i], fitted.from_arkit[k] = 0, 0
        fitted.to_arkit[i, k] = fitted.from_arkit[k, i] = 1
        fitted.mask[k] = True
    fitted.mask[[arkit.INDEX[n] for n in arkit.EYE_LOOK]] = True
    return fitted


_MESH_REGIONS = {
    "brows": (70, 63, 105, 66, 107, 55, 65, 52, 53, 46, 300, 293, 334, 296, 336, 285, 295, 282, 283, 276),
    "lids": (
        33, 7, 163, 144, 145, 153, 154, 155, 133, 173, 157, 158, 159, 160, 161, 246, 56, 28, 27, 29, 30, 247, 110, 24, 23, 22,
        263, 249, 390, 373, 374, 380, 381, 382, 362, 398, 384, 385, 386, 387, 388, 466, 286, 258, 257, 259, 260, 467, 339, 254, 253, 252,
    ),
    "lips": (
        61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291, 185, 40, 39, 37, 0, 267, 269, 270, 409,
        78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308, 191, 80, 81, 82, 13, 312, 311, 310, 415,
    ),
    "nose": (1, 2, 4, 5, 19, 45, 48, 49, 51, 59, 60, 64, 75, 94, 97, 98, 99, 102, 115, 129, 131, 166, 219, 220, 235, 240,
             275, 278, 279, 281, 289, 290, 294, 305, 326, 327, 328, 331, 344, 358, 360, 392, 439, 440, 455, 460),
    "chin": (18, 83, 182, 106, 43, 201, 200, 199, 175, 152, 148, 176, 149, 377, 400, 378, 313,
              406, 335, 273, 421, 428, 208, 396, 171, 204, 424, 194, 418),
    "cheeks": (36, 50, 101, 118, 117, 119, 100, 205, 206, 207, 187, 147, 123, 116, 203, 216, 212, 214, 192,
               266, 280, 330, 347, 346, 348, 329, 425, 426, 427, 411, 376, 352, 345, 423, 436, 432, 434, 416),
}  # fmt: skip
"""MediaPipe face-mesh indices of six regions."""
assert tuple(_MESH_REGIONS) == head_map.REGIONS
MOVEMENTS = 72
"""Size of the skin-movement read-out."""


class MovementBasis:
    """Skin movement of all families in one small space, spanned by VALID and ICT.

    The landmarks' displacements, scaled so that every region carries the same energy (a lid moves a millimetre, a
    jaw thirty), are projected on their principal components.
    """

    def __init__(self, valid: NDArray[np.float64], ict: NDArray[np.float64]) -> None:
        self._scales = [float(np.sqrt((self._region(valid, index) ** 2).sum())) for index in _MESH_REGIONS.values()]
        rows = self.scaled(np.concatenate([valid, ict]))
        _, energy, axes = np.linalg.svd(rows, full_matrices=False)
        kept = float((energy[:MOVEMENTS] ** 2).sum() / (energy**2).sum())
        print(f"skin movement: {MOVEMENTS} components keep {kept:.4f} of the energy")
        self._axes = axes[:MOVEMENTS]
        both = rows @ self._axes.T
        self.valid, self.ict = both[: len(valid)], both[len(valid) :]

    def project(self, moves: NDArray[np.float64]) -> NDArray[np.float64]:
        """(K, MOVEMENTS) movement of another family's displacements (K, 478*3)."""
        rows = self.scaled(moves)
        low = rows @ self._axes.T
        print(f"skin movement: keeps {(low**2).sum() / (rows**2).sum():.4f} of the energy of the family projected on it")
        return np.asarray(low)

    def regions(self) -> NDArray[np.float64]:
        """(R, MOVEMENTS, MOVEMENTS) inner products: w @ regions[r] @ w is the squared displacement of region r under movement w."""
        widths = np.cumsum([3 * len(index) for index in _MESH_REGIONS.values()])[:-1]
        return np.stack([part @ part.T for part in np.split(self._axes, widths, axis=1)])

    def scaled(self, moves: NDArray[np.float64], power: float = 1.0) -> NDArray[np.float64]:
        """(K, P) displacements of all regions, each divided by its size to a power: at 1 every region is equally heavy."""
        blocks = [self._region(moves, index) / scale**power for index, scale in zip(_MESH_REGIONS.values(), self._scales, strict=True)]
        return np.concatenate(blocks, axis=1)

    @staticmethod
    def _region(moves: NDArray[np.float64], index: tuple[int, ...]) -> NDArray[np.float64]:
        return moves.reshape(len(moves), -1, 3)[:, list(index)].reshape(len(moves), -1)


class Atlas:
    """The VALID atlas on other heads: a smooth warp takes their landmarks to a VALID head's, then the nearest skin point counts."""

    def __init__(self, valid: Head, anchors: Anchors) -> None:
        skin = valid.parts[0]
        self._anchors = anchors.points
        mixes = np.array([(1, 0, 0), (0, 1, 0), (0, 0, 1), (0.5, 0.5, 0), (0, 0.5, 0.5), (0.5, 0, 0.5), (1 / 3, 1 / 3, 1 / 3)])
        self._tree = cKDTree(np.einsum("mk,fkc->mfc", mixes, skin.vertices[skin.faces]).reshape(-1, 3))
        self._uv = np.einsum("mk,fkc->mfc", mixes, skin.uv[skin.faces]).reshape(-1, 2)

    def lay(self, points: NDArray[np.floating], landmarks: NDArray[np.float64]) -> NDArray[np.float64]:
        """(V, 2) coordinates of another head's skin (V, 3) with landmarks (478, 3)."""
        centre = landmarks.mean(0)
        warp = RBFInterpolator(landmarks - centre, self._anchors, smoothing=1e-7, kernel="thin_plate_spline")
        return np.asarray(self._uv[self._tree.query(warp(points - centre))[1]])


def ict_texture_coordinates(ict: Head, ict_anchors: Anchors, valid: Head, atlas: Atlas) -> NDArray[np.float32]:
    """(26719, 2) VALID atlas coordinates of ICT's skin and eyes."""
    uv = np.zeros((26719, 2), np.float32)
    for name, (a, b) in {"face": (0, 9409), "back": (9409, 11248)}.items():
        part = next(p for p in ict.parts if p.name == name)
        uv[a:b] = atlas.lay(part.vertices, ict_anchors.points)
    for side, (name, (a, b)) in enumerate({"eye_left": (21451, 23021), "eye_right": (23021, 24591)}.items()):
        mine, theirs = (next(p for p in h.parts if p.name == name) for h in (ict, valid))
        away = [p.vertices - h.eyes[side] for p, h in ((mine, ict), (theirs, valid))]
        unit = [v / np.linalg.norm(v, axis=1, keepdims=True) for v in away]
        uv[a:b] = theirs.uv[cKDTree(unit[1]).query(unit[0])[1]]
    return uv


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--plot", type=Path, default=Path("docs/images/head_map.png"))
    args = parser.parse_args()
    renderer = PortraitRenderer(SIZE, 4)
    shapes = len(arkit.NAMES)
    with FaceTracker(still=True) as tracker:
        ict = load_ict(0, strength=0.0)
        face = ict.parts[0]
        ict_anchors = Anchors(ict, face, "jawOpen", renderer, tracker)
        ict_moves = displacements(ict, face, ict_anchors)
        people = [load_valid(name) for name in PEOPLE]
        valid_anchors = [Anchors(head, head.parts[0], "MouthOpen", renderer, tracker) for head in people]
        anny = [load_anny(seed) for seed in ANNY_SEEDS]
        anny_anchors = [Anchors(head, head.parts[0], "jawOpen", renderer, tracker) for head in anny]
    anny_moves = np.mean([displacements(h, h.parts[0], a) for h, a in zip(anny, anny_anchors, strict=True)], axis=0)
    valid_moves = np.mean([displacements(h, h.parts[0], a) for h, a in zip(people, valid_anchors, strict=True)], axis=0)

    reference = np.zeros((shapes, ict_moves.shape[1]))
    sides = np.zeros(shapes)
    for name, move in zip(ict.names, ict_moves, strict=True):
        if (k := arkit.INDEX.get(ict_arkit_name(name), -1)) >= 0:
            reference[k] += move
            sides[k] += 1
    movement, atlas = MovementBasis(valid_moves, ict_moves), Atlas(people[1], valid_anchors[1])
    reference = movement.scaled(reference, BALANCE)
    reference[[arkit.INDEX[n] for n in arkit.EYE_LOOK]] = 0

    ict_to = np.zeros((len(ict.names), shapes))
    for row, (name, move) in enumerate(zip(ict.names, ict_moves, strict=True)):
        k = arkit.INDEX.get(ict_arkit_name(name), -1)
        if k >= 0:
            ict_to[row, k] = 1 / sides[k]
        elif name.startswith("cheekRaiser"):
            k = arkit.INDEX["cheekSquintLeft" if name.endswith("L") else "cheekSquintRight"]
            ict_to[row, k] = bounded(movement.scaled(move[None], BALANCE)[0], reference[k : k + 1], LARGEST)[0]
    ict_from = np.zeros((shapes, len(ict.names)))
    for i, name in enumerate(ict.names):
        if (k := arkit.INDEX.get(ict_arkit_name(name), -1)) >= 0:
            ict_from[k, i] = 1

    names = people[0].names
    valid = fit_valid(names, movement.scaled(valid_moves, BALANCE), reference)
    ours = fit_anny(movement.scaled(anny_moves, BALANCE), reference)
    look = [arkit.INDEX[n] for n in arkit.EYE_LOOK]
    ict_mask = sides > 0
    ict_mask[look] = True

    average = average_skin()
    anny_uv = atlas.lay(average, np.mean([a.at(average) for a in anny_anchors], axis=0))
    tables = {
        "valid_names": np.array(names), "valid_to_arkit": valid.to_arkit, "valid_from_arkit": valid.from_arkit,
        "valid_mask": valid.mask, "ict_names": np.array(ict.names), "ict_to_arkit": ict_to, "valid_movement": movement.valid,
        "ict_movement": movement.ict, "ict_from_arkit": ict_from, "ict_mask": ict_mask, "valid_explained": valid.explained,
        "ict_uv": ict_texture_coordinates(ict, ict_anchors, people[1], atlas).astype(np.float16),
        "anny_names": np.array(arkit.NAMES), "anny_to_arkit": ours.to_arkit, "anny_from_arkit": ours.from_arkit, "anny_mask": ours.mask,
        "anny_movement": movement.project(anny_moves), "anny_explained": ours.explained, "anny_uv": anny_uv.astype(np.float16),
        "movement_regions": movement.regions(),
    }  # fmt: skip
    with replacing(head_map.FILE) as temporary:
        np.savez_compressed(temporary, **{k: v.astype(np.float32) if v.dtype == np.float64 else v for k, v in tables.items()})
    for k, name in enumerate(arkit.NAMES):
        print(f"{name:20s}", valid.describe(k), "|", ours.describe(k))
    _plot(args.plot, names, valid.to_arkit)


def _plot(path: Path, names: tuple[str, ...], table: NDArray[np.float64]) -> None:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(13, 14))
    picture = axes.imshow(table, cmap="magma_r", vmin=0, vmax=1.5, aspect="auto")
    axes.set_xticks(range(table.shape[1]), arkit.NAMES, rotation=90, fontsize=7)
    axes.set_yticks(range(len(names)), names, fontsize=7)
    axes.set_title("ARKit weights of each VALID morph at 1, fitted by displacement")
    figure.colorbar(picture, shrink=0.5)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=70, bbox_inches="tight")


if __name__ == "__main__":
    main()

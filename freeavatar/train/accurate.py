"""The accurate variant of an encoder: it looks at every crop more than once, half of the times in a mirror, and takes the mean.

Two looks err in different ways, so their mean is nearer to the truth than either. The feature of a mirrored face says the
mirrored expression; the feature of the face itself follows from it by a linear map, found by least squares on crops. What comes
out lies in the encoder's own feature space, so whatever stands on the encoder stands on this variant.
"""

from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from freeavatar.errors import WeightsError
from freeavatar.models.expression import ExpressionEncoder, Readings
from freeavatar.network import ACCURATE
from freeavatar.train.export import add_variant, encoder_graph, load_weights
from freeavatar.train.quantise import Difference, quantise

ZOOMS: Final = (-0.02, 0.02)
"""By how much of a crop's side each border moves outwards or inwards in a look; they even out, and so does what is read as ``align``."""
LEAST_EXPLAINED: Final = 0.5
"""Share of the features' variance that the map must explain on crops that it was not found on."""
_RIDGE: Final = 1e-3
_BATCH: Final = 50


class Looks(nn.Module):
    """The encoder's fixed graph with several looks at each crop.

    Args:
        model: the encoder.
        back: (F) -> (F), from the feature of a mirrored face to that of the face.
    """

    def __init__(self, model: ExpressionEncoder, back: nn.Linear) -> None:
        super().__init__()
        self.model, self.back = model, back

    def forward(self, image: Tensor) -> Readings:
        """``image`` is (B, 3, S, S) RGB in 0..255. Gaze, pose, confidence and align are those of the looks that are not mirrored."""
        views = [zoomed(image, share) for share in ZOOMS]
        features = self.model.look(torch.cat([*views, *(view.flip(3) for view in views)]))
        size = int(features.shape[1])
        own, mirrored = (half.reshape(len(ZOOMS), -1, size).mean(0) for half in features.reshape(2, -1, size))
        geometry, expression = self.model.read(own), self.model.read((own + self.back(mirrored)) / 2)
        return expression._replace(**{name: getattr(geometry, name) for name in ("gaze", "head_pose", "confidence", "align")})


def zoomed(image: Tensor, share: float) -> Tensor:
    """(B, 3, S, S) crops whose borders have moved inwards by a share of their side, outwards where it is negative."""
    side = int(image.shape[-1])  # traced, a shape is a tensor
    margin = round(abs(share) * side)
    if not margin:
        return image
    cut = image[:, :, margin:-margin, margin:-margin] if share > 0 else F.pad(image, (margin,) * 4, mode="replicate")
    return F.interpolate(cut, (side, side), mode="bilinear")


@torch.no_grad()
def fit_mirror(model: ExpressionEncoder, crops: NDArray[np.uint8]) -> tuple[nn.Linear, float]:
    """The map from the feature of a mirrored face to that of the face, by ridge regression.

    Args:
        model: the encoder, in evaluation mode.
        crops: (N, 3, S, S) RGB; every fourth one is kept for judging the map.

    Returns:
        The map, and the share of the features' variance that it explains on the crops kept.
    """
    parts = [torch.from_numpy(crops[i : i + _BATCH]).float() for i in range(0, len(crops), _BATCH)]
    own = torch.cat([model.look(part) for part in parts]).double()
    mirrored = torch.cat([model.look(part.flip(3)) for part in parts]).double()
    kept = torch.arange(len(own)) % 4 == 3
    x, y = mirrored[~kept], own[~kept]
    gram = (x - x.mean(0)).T @ (x - x.mean(0)) + _RIDGE * len(x) * torch.eye(x.shape[1], dtype=x.dtype)
    weight = torch.linalg.solve(gram, (x - x.mean(0)).T @ (y - y.mean(0))).T
    back = nn.Linear(*weight.shape)
    # As 16 bits hold it, which is how the graph stores it.
    back.load_state_dict({"weight": weight.half().float(), "bias": (y.mean(0) - weight @ x.mean(0)).half().float()})
    error = (back(mirrored[kept].float()) - own[kept]).square().sum()
    return back.requires_grad_(False), float(1 - error / (own[kept] - own[kept].mean(0)).square().sum())


def add_accurate_graph(folder: Path, crops: NDArray[np.uint8], calibration: NDArray[np.uint8]) -> tuple[float, Difference]:
    """Write ``model_accurate.onnx``, int8, beside the graphs of a weights folder, from its safetensors.

    Args:
        folder: the encoder's.
        crops: (N, 3, S, S) RGB to find the map back from the mirror on, a few thousand.
        calibration: (N, 3, S, S) RGB as augmented for training; about twice ``quantise.CROPS``.

    Returns:
        The share of the features' variance that the map explains, and what quantisation changes.

    Raises:
        WeightsError: as :func:`freeavatar.train.export.load_weights`; or the map explains too little, or the int8 graph reads
            other expressions.
    """
    model = load_weights(folder)
    back, explained = fit_mirror(model, crops)
    if not explained >= LEAST_EXPLAINED:
        raise WeightsError(
            f"{folder}: the feature of a face is not to be had from that of its mirror image: a map found on {len(crops)} crops explains "
            f"{explained:.2f} of it, expected at least {LEAST_EXPLAINED}; give more crops, or train longer"
        )
    differences: list[Difference] = []

    def write(path: Path) -> None:
        encoder_graph(Looks(model, back), model.size, path, folded=True)
        differences.append(quantise(path, calibration, path))

    add_variant(folder, ACCURATE, write)
    return explained, differences[0]

"""Crops of real faces with emotion labels and a teacher's scores, for ``--real`` of the training stages.

usage: python tools/weak_labels.py OUT.npz [--faces FOLDER] [--labels CSV] [--images N]
       (default: FREEAVATAR_DATA/faces_wild/train and the table train.csv beside it, with columns file,label,person)

The teacher is MediaPipe's Face Landmarker. All its scores are kept; the mask holds those it reads well (jawOpen, smiles,
blinks), and nothing on faces turned too far. The pictures may be trained on, not redistributed: keep the result out of
the repository. Pictures that cannot be read are reported and skipped; more than 1 % of them are an error.

    jpeg, offsets      as in tools/render_dataset
    arkit, mask (N,52) the teacher's scores, and 1 where it is to be believed
    label (N,)         emotion; person (N,) whose face it is; files (N,) the picture it comes from
"""

import argparse
import csv
import os
from pathlib import Path

import numpy as np
from tqdm import tqdm

from freeavatar import arkit
from freeavatar.errors import FreeAvatarError, SourceError
from freeavatar.face import FaceTracker
from freeavatar.output import check_output, replacing
from freeavatar.sources.images import read_image
from freeavatar.train.emotion import EMOTIONS
from freeavatar.train.pictures import Broken, stored_crop
from freeavatar.types import Frame

TAUGHT = ("jawOpen", "mouthSmileLeft", "mouthSmileRight", "eyeBlinkLeft", "eyeBlinkRight")
MOST_YAW = 0.5
"""Radians of head yaw beyond which the teacher is not believed."""
COLUMNS = ("file", "label", "person")


def read_table(path: Path) -> list[dict[str, str]]:
    """Rows of file, label and person.

    Raises:
        SourceError: missing, without rows, or a line is not as expected.
    """
    try:
        with path.open(newline="", encoding="utf-8") as lines:
            reader = csv.DictReader(lines)
            rows = []
            for row in reader:
                if any(not row.get(c) for c in COLUMNS) or row["label"] not in EMOTIONS or Path(row["file"]).name != row["file"]:
                    wanted = f"a file's name, one of {'|'.join(EMOTIONS)}, a person"
                    raise SourceError(f"{path}: line {reader.line_num} is {list(row.values())}; expected {wanted}")
                rows.append(row)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise SourceError(f"{path}: the table of labels cannot be read ({error}); expected a CSV with file,label,person") from error
    if not rows:
        raise SourceError(f"{path}: has no rows; expected a CSV with file,label,person")
    return rows


def label_faces(folder: Path, rows: list[dict[str, str]], out: Path) -> int:
    """Write the file; returns the number of faces in it.

    Raises:
        SourceError: more than 1 % of the pictures cannot be read, or no face is found.
    """
    believed = np.isin(arkit.NAMES, TAUGHT).astype(np.float32)
    jpegs, shapes, masks, kept = [], [], [], []
    broken = Broken(folder, len(rows))
    with FaceTracker(still=True, peer=True) as tracker:
        for i, row in enumerate(tqdm(rows, unit="image")):
            try:
                image = read_image(folder / row["file"])
            except SourceError as error:
                broken.add(str(error))
                continue
            face = tracker.track(Frame(image, 0.0, i))
            if face is None or face.peer is None:
                continue
            assert face.landmarks is not None  # a tracker's crop has them
            jpegs.append(stored_crop(image, face.landmarks))
            shapes.append(face.peer)
            masks.append(believed * (abs(face.head_pose[0]) <= MOST_YAW))
            kept.append(row)
    broken.report()
    if not jpegs:
        raise SourceError(f"{folder}: no face was found in {len(rows)} pictures; is it the right folder?")
    with replacing(out) as temporary:
        np.savez(
            temporary, jpeg=np.concatenate(jpegs), offsets=np.cumsum([0, *map(len, jpegs)]),
            arkit=np.array(shapes, np.float32), mask=np.array(masks, np.float32),
            files=np.array([row["file"] for row in kept]), label=np.array([row["label"] for row in kept]),
            person=np.array([row["person"] for row in kept]),
        )  # fmt: skip
    return len(jpegs)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--faces", type=Path, default=Path(os.environ.get("FREEAVATAR_DATA", ".")) / "faces_wild" / "train")
    parser.add_argument("--labels", type=Path, default=None, help="default: the folder's name with .csv")
    parser.add_argument("--images", type=int, default=None)
    args = parser.parse_args()
    check_output(args.out, [".npz"])
    rows = read_table(args.labels or args.faces.with_name(args.faces.name + ".csv"))[: args.images]
    print(f"{label_faces(args.faces, rows, args.out)} faces in {len(rows)} pictures")


if __name__ == "__main__":
    try:
        main()
    except FreeAvatarError as error:
        raise SystemExit(str(error)) from error

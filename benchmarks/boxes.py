"""Mean average precision of boxes beside COCO's own tool, on drawn sets. Needs `pip install pycocotools`.

    python benchmarks/boxes.py [--sets 8]

No two boxes of a set are equally sure: such boxes count together here, and one by one there.
"""

from __future__ import annotations

import argparse
import contextlib
import io
from typing import Any

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from recurra.metrics.detection import THRESHOLDS, Boxes, mean_average_precision

PICTURES, CLASSES, SIDE = 40, 3, 100.0


def drawn(seed: int) -> tuple[Boxes, Boxes]:
    """Up to five true boxes a picture; boxes near them, some twice or of another class, and some of nothing."""
    random = np.random.default_rng(seed)
    truth, said = [], []
    for picture in range(PICTURES):
        for _ in range(random.integers(0, 6)):
            kind, box = random.integers(CLASSES), [*random.uniform(0, SIDE, 2), *random.uniform(5, 30, 2)]
            truth.append((*box, picture, kind, 0.0))
            for _ in range(random.integers(0, 3)):
                near = np.array(box) + random.normal(0, 1.5, 4)
                other = kind if random.uniform() < 0.9 else random.integers(CLASSES)
                said.append((*near, picture, other, random.uniform()))
        said.append((*random.uniform(0, SIDE, 2), 12.0, 12.0, picture, random.integers(CLASSES), random.uniform()))
    return _boxes(truth), _boxes(said)


def _boxes(rows: list[Any]) -> Boxes:
    table = np.array(rows, np.float64)
    return Boxes(table[:, :4], table[:, 4].astype(np.int64), table[:, 5].astype(np.int64), table[:, 6])


def of_coco(truth: Boxes, said: Boxes) -> np.ndarray[Any, Any]:
    """(10,) the same by COCO's tool: boxes of every size, 100 of a picture and class at most."""
    known = COCO()
    known.dataset = {
        "images": [{"id": k + 1} for k in range(PICTURES)],
        "categories": [{"id": k + 1} for k in range(CLASSES)],
        "annotations": [{**row, "id": k + 1, "iscrowd": 0} for k, row in enumerate(_rows(truth))],
    }
    with contextlib.redirect_stdout(io.StringIO()):
        known.createIndex()
        scored = [{**row, "score": sure} for row, sure in zip(_rows(said), said.sure, strict=True)]
        found = COCOeval(known, known.loadRes(scored), "bbox")
        found.evaluate()
        found.accumulate()
    precision = found.eval["precision"][:, :, :, 0, -1]  # thresholds, recalls, classes, of every size, at most 100
    return np.asarray(np.where(precision < 0, np.nan, precision).mean(1).mean(1))


def _rows(boxes: Boxes) -> list[dict[str, Any]]:
    each = zip(boxes.boxes.tolist(), boxes.pictures.tolist(), boxes.classes.tolist(), strict=True)
    return [{"bbox": b, "area": b[2] * b[3], "image_id": p + 1, "category_id": c + 1} for b, p, c in each]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", type=int, default=8, help="how many are drawn")
    for seed in range(parser.parse_args().sets):
        truth, said = drawn(seed)
        found, other = mean_average_precision(truth, said, THRESHOLDS), of_coco(truth, said)
        far = np.abs(found - other).max()
        print(f"set {seed}: mAP {found.mean():.4f}, at 0.5 {found[0]:.4f}; COCO's tool is {far:.1e} away at most")


if __name__ == "__main__":
    main()

"""A checkpoint by TensorFlow's own writer beside the folder that it was made from: the same vectors, to the bit.

pip install tensorflow-cpu safetensors      # in an environment of its own, whose Python --tensorflow names
python benchmarks/checkpoint.py FOLDER --tensorflow PYTHON

The folder's weights are written under the names of Google's code, kernels turned round, with what Adam keeps of each.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file

from recurra import api
from recurra.models.published import read_tensors

TEXTS = ["a charming film", "Hello, world!", ""]
TABLES = ("word_embeddings", "position_embeddings", "token_type_embeddings")
WRITER = """
import sys, numpy as np, tensorflow as tf
arrays = dict(np.load(sys.argv[1]))
names = sorted(arrays)
tf.raw_ops.SaveV2(prefix=sys.argv[2], tensor_names=names, shape_and_slices=[""] * len(names),
                  tensors=[tf.constant(arrays[name]) for name in names])
print("TensorFlow", tf.__version__)
"""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="a BERT as Hugging Face has it, with vocab.txt")
    parser.add_argument("--tensorflow", required=True, help="a Python that has it")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        where = Path(place)
        weights = load_file(args.folder / "model.safetensors")
        arrays = dict(
            map(of_google, *zip(*((n, t) for n, t in weights.items() if "position_ids" not in n), strict=True))
        )
        kept = {f"{name}/adam_{one}": np.zeros_like(array) for name, array in arrays.items() for one in "mv"}
        np.savez(where / "arrays.npz", **arrays, **kept, global_step=np.int64(1))
        command = [args.tensorflow, "-c", WRITER, where / "arrays.npz", where / "bert_model.ckpt"]
        print(subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip())
        config = json.loads((args.folder / "config.json").read_text())
        (where / "bert_config.json").write_text(json.dumps({k: v for k, v in config.items() if k != "model_type"}))
        shutil.copy(args.folder / "vocab.txt", where)
        start = time.process_time()
        read_tensors(where)
        print(f"{len(arrays)} tensors read in {time.process_time() - start:.2f} s of the CPU")
        pairs = zip(*(api.text_vectors(one).encode(TEXTS) for one in (where, args.folder)), strict=True)
        same = all(np.array_equal(ours, theirs) for ours, theirs in pairs)
    print("the same bits" if same else "DIFFERENT VECTORS")
    return 0 if same else 1


def of_google(name: str, array: np.ndarray) -> tuple[str, np.ndarray]:
    """A tensor as Google's code names it and has it."""
    path = re.sub(r"layer\.(\d+)", r"layer_\1", name.removeprefix("bert.")).replace(".", "/")
    stem, end = path.rsplit("/", 1)
    if stem.endswith("LayerNorm"):
        return f"bert/{stem}/{'gamma' if end == 'weight' else 'beta'}", array
    if stem.endswith(TABLES):
        return f"bert/{stem}", array
    return (f"bert/{stem}/kernel", np.ascontiguousarray(array.T)) if end == "weight" else (f"bert/{path}", array)


if __name__ == "__main__":
    raise SystemExit(main())

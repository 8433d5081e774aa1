#!/usr/bin/env bash
# A product of bfloat16 matrices in Triton's interpreter (TRITON_INTERPRET=1). Seen with triton 3.9.0, numpy 2.4.6, torch 2.13.0:
#   tl.dot of bfloat16             multiplies the bits as whole numbers: 1 times 1 is 16256 * 16256 (0x3F80 each), summed as float32
#   tl.dot of float16, float32     right
#   the same numbers, .to(tl.float32) before tl.dot   right
# On a GPU tl.dot of bfloat16 is right. Known there (triton-lang/triton, issue 11584: bfloat16 is not supported yet by the interpreter),
# and it comes without a word. So whoever checks kernels in the interpreter has to widen what tl.dot takes. Exits with 1 if any of this changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check numpy==2.4.6 torch==2.13.0 triton==3.9.0
cat > "$folder/kernel.py" <<'PY'
import sys

import torch
import triton
import triton.language as tl


@triton.jit
def square(a, out, WIDEN: tl.constexpr):
    place = tl.arange(0, 16)[:, None] * 16 + tl.arange(0, 16)[None, :]
    m = tl.load(a + place)
    if WIDEN:
        m = m.to(tl.float32)
    tl.store(out + place, tl.dot(m, m))


def product(kind, widen):
    out = torch.zeros(16, 16)
    square[(1,)](torch.eye(16, dtype=kind), out, widen)
    return out[0, 0].item()


found = {f"{kind} {'widened' if widen else ''}": product(kind, widen)
         for kind in (torch.bfloat16, torch.float16, torch.float32) for widen in (False, True)}
for name, value in found.items():
    print(f"{name:24} 1 times 1 is {value:g}")
seen = list(found.values()) == [16256.0**2, 1, 1, 1, 1, 1]
sys.exit(0 if seen else 1)
PY
TRITON_INTERPRET=1 "$folder/venv/bin/python" "$folder/kernel.py"
echo "as seen before"

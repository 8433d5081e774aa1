#!/usr/bin/env bash
# The same float32 number through the same function of torch, once alone and once within a tensor of 4,096. Seen with torch 2.13.0
# (CPU), one thread, ATEN_CPU_CAPABILITY=avx2 and avx512 alike:
#   sigmoid, silu, softplus, elu, mish, pow   other bits alone, for 4 to 42 of 100 numbers, up to two in the last place: whole
#                                             vectors go through one implementation, what is left over through another
#   tanh, exp, expm1, log1p, erf, sin, logsigmoid, sqrt   the same bits
# So a row of a batch is not that row alone, even where nothing sums, and a model that must not notice its batch-mates has to
# choose its functions. With ATEN_CPU_CAPABILITY=default sigmoid and its kin are steady, pow is not. Exits with 1 if any of this
# changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check numpy==2.4.6 torch==2.13.0
ATEN_CPU_CAPABILITY=avx2 OMP_NUM_THREADS=1 "$folder/venv/bin/python" - <<'PY'
import sys

import torch
from torch.nn import functional as F

torch.manual_seed(0)
x = torch.randn(4096)
SWAY = {
    "sigmoid": torch.sigmoid, "silu": F.silu, "softplus": F.softplus, "elu": F.elu, "mish": F.mish,
    "pow": lambda v: v.abs() ** 1.7,
}
STEADY = {
    "tanh": torch.tanh, "exp": torch.exp, "expm1": torch.expm1, "log1p": lambda v: torch.log1p(v.abs()),
    "erf": torch.erf, "sin": torch.sin, "logsigmoid": F.logsigmoid, "sqrt": lambda v: v.abs().sqrt(),
}
print("torch", torch.__version__, torch.backends.cpu.get_cpu_capability())
if torch.backends.cpu.get_cpu_capability() != "AVX2":
    sys.exit("this processor has no AVX2, so nothing is said of it")


def others(function):
    alone = torch.cat([function(number.clone()) for number in x.split(1)])
    return int((function(x) != alone).sum()), float((function(x) - alone).abs().max())


changed = False
for name, function in {**SWAY, **STEADY}.items():
    count, most = others(function)
    print(f"{name}: {count} of 4,096 have other bits alone, {most:.1e} apart at most")
    changed |= (count > 100) != (name in SWAY) or most > 1e-6
sys.exit("behaviour has changed" if changed else 0)
PY

#!/usr/bin/env bash
# Installs a wheel in a clean virtual environment, on a PATH without a compiler, and measures its engine:
#     packaging/try_wheel.sh dist/recurra-*.whl [PYTHON]
set -euo pipefail
wheel=$(realpath "$1")
constraints=$(realpath "$(dirname "$0")/../constraints.txt")
python=$(realpath -s "$(command -v "${2:-python3}")")
home=$(mktemp -d)
trap '/bin/rm -rf "$home"' EXIT
cd "$home"
"$python" -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check -c "$constraints" "$wheel"
mkdir bin
for tool in env uname cat; do ln -s "$(command -v $tool)" bin/; done
export PATH=$home/venv/bin:$home/bin
if command -v c++ cc gcc g++ clang; then echo "there is a compiler on the path" >&2; exit 1; fi
python - <<'PYTHON'
import torch
from recurra.engine import cpu
from recurra.nn import LSTM

assert cpu.available(), "the engine does not load"
torch.manual_seed(1)
layer, x = LSTM(5, 16, backend="cpu"), torch.randn(7, 3, 5)
same = torch.nn.LSTM(5, 16)
same.load_state_dict(layer.state_dict())
torch.testing.assert_close(layer(x)[0], same(x)[0], atol=2e-6, rtol=2e-6)
print("instruction sets:", ", ".join(cpu.instruction_sets()))
PYTHON
recurra bench --quick

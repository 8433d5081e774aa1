"""Everybody who is measured: recurra, and the peers that may be installed. One file each.

peer         what a participant can be asked
ours         recurra: its layers, and its stepper
torch_layers torch.nn.RNN, LSTM, GRU: on padded batches ("torch"), on packed sequences ("torch_packed")
torch_loops  torch.nn's cells, a step at a time ("torch_cell"); equations in a Python loop ("torch_loop")
equations    the cells that torch has no layer for, as a torch user writes them
jax_scan     equations under jax.lax.scan, jitted
flax_rnn     flax.nnx.RNN and its cells, jitted
onnx_file    a layer or a step as an ONNX model, for the two below
onnx_runtime ONNX Runtime, inference only
openvino     OpenVINO, inference only

Nothing here imports a peer before its `start`.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence

from recurra.base.errors import ConfigError
from recurra.base.registry import Registry
from recurra.bench.peers.flax_rnn import FlaxRNN
from recurra.bench.peers.jax_scan import JaxScan
from recurra.bench.peers.onnx_runtime import OnnxRuntime
from recurra.bench.peers.openvino import OpenVino
from recurra.bench.peers.ours import Ours
from recurra.bench.peers.peer import Peer
from recurra.bench.peers.torch_layers import TorchLayer, TorchPacked
from recurra.bench.peers.torch_loops import TorchCell, TorchLoop

OURS = "recurra"

PEERS: Registry[Peer] = Registry("peer")
PEERS.add("torch", TorchLayer())
PEERS.add("torch_packed", TorchPacked())
PEERS.add("torch_cell", TorchCell())
PEERS.add("torch_loop", TorchLoop())
PEERS.add("jax", JaxScan())
PEERS.add("flax", FlaxRNN())
PEERS.add("onnxruntime", OnnxRuntime())
PEERS.add("openvino", OpenVino())


def missing(peer: Peer) -> tuple[str, ...]:
    """The packages that a peer needs and this Python has not."""
    return tuple(name for name in peer.packages if importlib.util.find_spec(name) is None)


def choose_peers(words: Sequence[str] | None) -> dict[str, Peer]:
    """The named peers, or all that are installed. Raises ConfigError for an unknown one, or one that is not there."""
    if words is None:
        return {name: peer for name, peer in PEERS.items() if not missing(peer)}
    chosen = {word: PEERS[word] for word in words}
    for word, peer in chosen.items():
        if absent := missing(peer):
            raise ConfigError(f"peer '{word}' is not installed: pip install {' '.join(absent)}, or leave it out.")
    return chosen


def participants(peers: Mapping[str, Peer]) -> dict[str, Peer]:
    """recurra, then its peers."""
    return {OURS: Ours(), **peers}


__all__ = ["OURS", "PEERS", "Peer", "choose_peers", "missing", "participants"]

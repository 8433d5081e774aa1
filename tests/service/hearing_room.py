"""A run that hears, untrained, and a client of a WebSocket without a socket."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch

from recurra.base.contracts import Origin, Record
from recurra.data.sound import wav
from recurra.models import SequenceModel
from recurra.service import LoadedModel
from recurra.tasks import TranscriptionConfig

RATE = 8_000


def said_samples(seconds: float = 2.0, seed: int = 3) -> bytes:
    """Samples of 16 bits of noise."""
    noise = 0.2 * np.random.default_rng(seed).normal(size=round(seconds * RATE))
    return np.round(noise * 32767).clip(-32768, 32767).astype("<i2").tobytes()


def hearing_run(name: str = "speech", *, causal: bool = True, resample: bool = False) -> LoadedModel:
    """A run whose text of noise is long, as its output weights are large."""
    noise = np.random.default_rng(1).normal(size=4000) * 0.2
    row = Record({"audio": wav(noise.clip(-1, 1), RATE), "text": "abc ab"}, Origin("s.csv", 2))
    sound = {"name": "kaldi", "rate": RATE, "bands": 8, "resample": resample}
    plan = TranscriptionConfig(sound=sound, scaling="running", stack=3)
    task = plan.fit([row], "s.csv")
    torch.manual_seed(0)
    encoder = {"name": "recurrent", "cell": "gru", "hidden_size": 16, "bidirectional": not causal}
    model = SequenceModel(task.model_sizes, inputs="vectors", encoder=encoder, head="ctc").eval()
    with torch.no_grad():
        model.head.output.weight *= 30
    tree = {"task": {"name": "transcription"}}
    settings = SimpleNamespace(tree=tree, plan=plan)
    run: Any = SimpleNamespace(task=task, model=model, settings=settings, folder=SimpleNamespace(path=Path(name)))
    stamp: Any = None
    cpu = torch.device("cpu")
    return LoadedModel(name, "transcription", run, cpu, "v1", stamp, datetime.now(UTC), "float32", ())


class Socket:
    """What a client sends on a WebSocket, in order, and what came back: status, events, code of the end."""

    def __init__(self, *messages: bytes | str, gone: bool = False, pause: float = 0.0) -> None:
        """pause: seconds before each message"""
        self._pause = pause
        self._left = [{"type": "websocket.connect"}]
        for one in messages:
            self._left.append({"type": "websocket.receive", "bytes" if isinstance(one, bytes) else "text": one})
        if gone:
            self._left.append({"type": "websocket.disconnect", "code": 1001})
        self.status, self.code = 0, 0
        self.events: list[dict[str, Any]] = []
        self.body = b""

    @property
    def left(self) -> int:
        """Messages that nobody has asked for."""
        return len(self._left)

    async def receive(self) -> dict[str, Any]:
        await asyncio.sleep(self._pause)
        if self._left:
            return self._left.pop(0)
        await asyncio.sleep(60)
        raise AssertionError("nothing is sent any more")

    async def send(self, message: Any) -> None:
        if message["type"] == "websocket.accept":
            self.status = 101
        elif message["type"] == "websocket.send":
            self.events.append(json.loads(message["text"]))
        elif message["type"] == "websocket.close":
            self.code = message.get("code", 1000)
        elif message["type"] == "websocket.http.response.start":
            self.status = message["status"]
        else:
            self.body += message.get("body", b"")

    async def talk(
        self, app: Any, query: str = "", headers: dict[str, str] | None = None, path: str = "/hear"
    ) -> Socket:
        given = {"host": "here", **(headers or {})}
        scope = {
            "type": "websocket",
            "path": path,
            "raw_path": path.encode(),
            "root_path": "",
            "query_string": query.encode(),
            "headers": [(name.encode(), value.encode()) for name, value in given.items()],
            "extensions": {"websocket.http.response": {}},
            "subprotocols": [],
            "scheme": "ws",
        }
        await app(scope, self.receive, self.send)
        return self

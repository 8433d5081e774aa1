"""Randomness of a step is a function of (seed, step, rank), so a resumed run needs no saved random state."""

from __future__ import annotations

import hashlib

import torch


def step_seed(seed: int, step: int, rank: int = 0) -> int:
    """64 bits that look unrelated for neighbouring seeds, steps and ranks."""
    text = f"{seed}:{step}:{rank}" if rank else f"{seed}:{step}"
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8, person=b"recurra.step").digest())


def seed_step(seed: int, step: int, device: torch.device, rank: int = 0) -> None:
    """Seed torch's global generator of the CPU, and of `device`, for one step: dropout, zoneout, noise.

    2 us a step; torch.manual_seed, which looks for every kind of device, takes 150.
    """
    value = step_seed(seed, step, rank)
    torch.default_generator.manual_seed(value)
    if device.type == "cuda":
        torch.cuda.default_generators[device.index or 0].manual_seed(value)
    elif device.type != "cpu":  # mps, xpu
        torch.get_device_module(device).manual_seed(value)

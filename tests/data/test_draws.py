"""Draws of an example: Philox by its definition, and no numbers that two of seed, epoch, purpose and part share."""

from __future__ import annotations

import hashlib
from itertools import product

import numpy as np
import pytest

from recurra.data.draws import Draws
from recurra.tasks.transcription.augmenting import NOISE, TIMES, Augmentation

ALL = 2**64 - 1
# Salmon et al. 2011, table 2 and section 3.3: multipliers and Weyl constants of Philox4x64.
M0, M1, W0, W1 = 0xD2E7470EE14C6C93, 0xCA5A826395121157, 0x9E3779B97F4A7C15, 0xBB67AE8584CAA73B


def philox(counter: list[int], key: list[int]) -> list[int]:
    """One block of Philox4x64-10, in whole numbers of Python."""
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for _ in range(10):
        high0, low0 = divmod(M0 * c0, 2**64)
        high1, low1 = divmod(M1 * c2, 2**64)
        c0, c1, c2, c3 = high1 ^ c1 ^ k0, low1, high0 ^ c3 ^ k1, low0
        k0, k1 = (k0 + W0) & ALL, (k1 + W1) & ALL
    return [c0, c1, c2, c3]


def test_the_oracle_has_the_published_answer() -> None:
    known = [0x16554D9ECA36314C, 0xDB20FE9D672D0FDC, 0xD7E772CEE186176B, 0x7E68B68AEC7BA23B]  # Random123, kat_vectors
    assert philox([0] * 4, [0] * 2) == known


@pytest.mark.parametrize("seed", [0, 7, -1, 2**63])
def test_numbers_are_blocks_of_philox_whose_counter_says_what_they_are_for(seed: int) -> None:
    digest = hashlib.blake2b(b"said.wav", digest_size=16).digest()
    key = [int.from_bytes(digest[k : k + 8], "little") for k in (0, 8)]
    raw = [x for block in (1, 2) for x in philox([block, 5 << 32 | 3, 11, seed & ALL], key)]
    found = Draws(seed, 11, b"said.wav").uniform(7, 5, 3)
    np.testing.assert_array_equal(found, [(x >> 11) * 2.0**-53 for x in raw][:7])


def test_no_two_of_seed_epoch_recording_purpose_and_part_share_a_number() -> None:
    one = [Draws(seed, epoch, name) for seed, epoch, name in product((0, 1, 32), (0, 1, 32), (b"a", b"b"))]
    all_ = [draws.uniform(64, purpose, part) for draws in one for purpose, part in product((0, 1, 32, 33), (0, 1, 2))]
    assert len(np.unique(np.concatenate(all_))) == 64 * len(all_)  # 2**53 values: chance has 1e-7 of one pair


def test_noise_of_a_stretch_is_not_where_frames_are_hidden() -> None:
    how = Augmentation(noise_db=10, noise_stretches=3, time_masks=2, time_mask_width=4)
    draws = how.of(1, 0, b"x").draws
    streams = [draws.uniform(40, NOISE, k) for k in range(4)] + [draws.uniform(40, TIMES)]
    assert len(np.unique(np.concatenate(streams))) == 200

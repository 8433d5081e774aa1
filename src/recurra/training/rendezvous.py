"""Where the ranks that a launcher has started meet, on one host or several, and who of them is still there.

All meet at one store over TCP (c10d), tell there that they live, and end when another one is silent.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import secrets
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Final

from torch.distributed import PrefixStore, TCPStore  # type: ignore[attr-defined]

from recurra.base.errors import ConfigError
from recurra.base.launchers import Place

# Seconds for Python and torch to load, and a look at the store.
LOADING, LOOK = 60.0, 0.05
LOST: Final = 1
_SIOCGIFADDR: Final = 0x8915


def interface_to(address: str, port: int) -> str | None:
    """The network interface of this host that leads to an address (IPv4); None where the system does not say.

    gloo takes the one that the host's own name leads to, which on many hosts is the loopback.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((address, port))  # sends nothing
        except OSError:
            return None
        ours = probe.getsockname()[0]
        for _, name in socket.if_nameindex():
            try:
                found = fcntl.ioctl(probe.fileno(), _SIOCGIFADDR, struct.pack("256s", name[:15].encode()))
            except OSError:  # has no address
                continue
            if socket.inet_ntoa(found[20:24]) == ours:
                return name
    return None


def choose_interface(place: Place) -> None:
    """Tell gloo which interface to take, unless the user does.

    The loopback leads to no other host, so it is taken only where all ranks are on this one.
    """
    if "GLOO_SOCKET_IFNAME" in os.environ:
        return
    found = interface_to(place.address, place.port)
    if found is not None and (not found.startswith("lo") or place.locals == place.size):
        os.environ["GLOO_SOCKET_IFNAME"] = found


class Meeting:
    """The store where all ranks of one attempt meet, and the thread that watches over them.

    A launcher's store outlives an attempt. So each rank asks with a word of its own, and the first one answers all with
    the word of this attempt, under which the ranks then keep what they tell one another.

    timeout: seconds without a heartbeat before a rank counts as gone      end: what ends this process then
    """

    def __init__(self, place: Place, timeout: float, end: Callable[[str], None] | None = None) -> None:
        self.place, self.timeout, self._end = place, timeout, end or _end
        self._raw = self._connected(serves=place.serves and place.number == 0)
        self._over, self._word = threading.Event(), secrets.token_hex(8)
        self._beats = self._connected(serves=False)
        self._thread = threading.Thread(target=self._live, name="heartbeat", daemon=True)
        if place.number:
            self._ask()
        self.store = PrefixStore(f"recurra/{self._word}", self._raw)
        self._kept = PrefixStore(f"recurra/{self._word}", self._beats)
        self._thread.start()

    def _connected(self, *, serves: bool) -> TCPStore:
        place, wait = self.place, timedelta(seconds=max(self.timeout, LOADING))
        try:
            return TCPStore(
                place.address, place.port, is_master=serves, timeout=wait, wait_for_workers=False, multi_tenant=serves
            )
        except RuntimeError as error:
            raise ConfigError(
                f"rank {place.number} of {place.size} does not reach {place.address}:{place.port}, where the ranks "
                f"meet ({str(error).splitlines()[0][:160]}). Is the first rank running, and does this host reach it?"
            ) from None

    def _ask(self) -> None:
        """Learn the word of this attempt. Raises ConfigError where the first rank does not answer."""
        asked = secrets.token_hex(8)
        try:
            self._raw.set(f"recurra/ask/{self.place.number}", asked)
            self._word = self._raw.get(f"recurra/answer/{asked}").decode("ascii")
        except RuntimeError as error:
            raise ConfigError(
                f"rank {self.place.number} of {self.place.size}: rank 0 does not answer at {self.place.address}:"
                f"{self.place.port} ({str(error).splitlines()[0][:160]}). What has it said, and does it still run?"
            ) from None

    def _answer(self, answered: dict[int, bytes]) -> None:
        """Tell the word of this attempt to all that have asked since the last look."""
        for number in range(1, self.place.size):
            key = f"recurra/ask/{number}"
            if number not in answered and not self._beats.check([key]):
                continue
            asked = self._beats.get(key)
            if asked != answered.get(number):
                answered[number] = asked
                self._beats.set(f"recurra/answer/{asked.decode('ascii')}", self._word)

    def says_first(self, message: str) -> bool:
        """Whether no other rank of this attempt has said these words yet, as far as the store is still there to ask."""
        digest = hashlib.sha256(message.encode()).hexdigest()
        try:
            return self.store.add(f"said/{digest}", 1) == 1
        except RuntimeError:
            return True

    def leave(self) -> None:
        """Stop the heartbeat, and watching: from now on ranks may end."""
        self._over.set()
        if self._thread is not threading.current_thread():
            self._thread.join(2.0)  # of a store that is gone it hears nothing for longer, and ends nothing any more

    def _live(self) -> None:
        """A heartbeat each moment, and a look at the others: the first rank at all, all at the first one."""
        period, beat, seen = min(1.0, self.timeout / 5), 0, _Seen(self.place, self.timeout)
        answered: dict[int, bytes] = {}
        while not self._over.is_set():
            beat += 1
            try:
                lost = self._look(beat, seen, answered)
            except RuntimeError as error:  # torch has no narrower one
                lost = f"the store of the ranks is gone ({str(error).splitlines()[0][:80]})"
            if lost and not self._over.is_set():
                self._end(f"rank {self.place.number} of {self.place.size} ends: {lost}." if self._tells else "")
                return
            self._over.wait(LOOK if len(answered) < self.place.size - 1 and not self.place.number else period)

    @property
    def _tells(self) -> bool:
        return self.place.local == 0

    def _look(self, beat: int, seen: _Seen, answered: dict[int, bytes]) -> str:
        """What has been lost, or nothing."""
        here, kept = self.place.number, self._kept
        kept.set(f"beat/{here}", str(beat))
        if here:
            if kept.check(["lost"]):
                return kept.get("lost").decode()
            return seen.silent(0, self._beat_of(0, seen))
        if len(answered) < self.place.size - 1 or not seen.all_live:
            self._answer(answered)
        for number in range(1, self.place.size):
            if lost := seen.silent(number, self._beat_of(number, seen)):
                kept.set("lost", lost)
                return lost
        return ""

    def _beat_of(self, number: int, seen: _Seen) -> bytes:
        """The last heartbeat of a rank; of one that has not sent any yet, nothing, as to get that would wait for it."""
        key = f"beat/{number}"
        return self._kept.get(key) if seen.lives(number) or self._kept.check([key]) else b""


class _Seen:
    """When each rank's heartbeat was last another one."""

    def __init__(self, place: Place, timeout: float) -> None:
        self._place, self._timeout, self._began = place, timeout, time.monotonic()
        self._last: dict[int, tuple[bytes, float]] = {}

    @property
    def all_live(self) -> bool:
        return len(self._last) == self._place.size - 1

    def lives(self, number: int) -> bool:
        return number in self._last

    def silent(self, number: int, beat: bytes) -> str:
        """What is to say of a rank that has been silent for too long; "" of any other."""
        now, (last, when) = time.monotonic(), self._last.get(number, (b"", self._began))
        if beat != last:
            self._last[number] = beat, now
            return ""
        limit = self._timeout if last else max(self._timeout, LOADING)
        return f"rank {number} has sent no heartbeat for {limit:g} seconds" if now - when > limit else ""


def _end(message: str) -> None:
    """End this process at once: its other threads may wait for ever for a rank that is gone."""
    if message:
        print(message, file=sys.stderr, flush=True)
    os._exit(LOST)

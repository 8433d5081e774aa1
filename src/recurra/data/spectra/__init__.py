"""Sound to log-mel features, by definitions that have a name: there is no single one, and their values differ.

contract   what a definition has            frames   samples cut into frames, weighted bands
kaldi      as Kaldi's compute-fbank-feats   librosa  as librosa's melspectrogram and power_to_db
htk        as torchaudio's MelSpectrogram, with a logarithm

A new definition is one file, and one line below.
"""

from __future__ import annotations

from collections.abc import Callable

from recurra.base.registry import Registry
from recurra.data.spectra.contract import Spectrum
from recurra.data.spectra.htk import Htk
from recurra.data.spectra.kaldi import Kaldi
from recurra.data.spectra.librosa import Librosa

SPECTRA: Registry[Callable[..., Spectrum]] = Registry("spectrum", "recurra.spectra")
SPECTRA.add("kaldi", Kaldi)
SPECTRA.add("librosa", Librosa)
SPECTRA.add("htk", Htk)

__all__ = ["SPECTRA", "Htk", "Kaldi", "Librosa", "Spectrum"]

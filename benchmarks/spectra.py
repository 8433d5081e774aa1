"""Log-mel features beside the programs that they are named after: kaldi-native-fbank and librosa.

pip install kaldi-native-fbank librosa
python benchmarks/spectra.py
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from recurra.data.spectra import Htk, Kaldi, Librosa


def kaldi(samples: Any, rate: int) -> Any:
    """40 bands of whole frames, as Kaldi reads 16-bit samples; its energy floor is of another column."""
    import kaldi_native_fbank as native

    options = native.FbankOptions()
    options.frame_opts.dither, options.frame_opts.samp_freq, options.mel_opts.num_bins = 0, rate, 40
    fbank = native.OnlineFbank(options)
    fbank.accept_waveform(rate, (samples * 32768).tolist())
    fbank.input_finished()
    return np.stack([fbank.get_frame(k) for k in range(fbank.num_frames_ready)])


def librosa(samples: Any, rate: int) -> Any:
    """Its defaults."""
    import librosa as program

    return program.power_to_db(program.feature.melspectrogram(y=samples, sr=rate)).T


def htk(samples: Any, rate: int) -> Any:
    """torchaudio's defaults but for 40 bands, by librosa, which has the same bands, in float64."""
    import librosa as program

    power = program.feature.melspectrogram(
        y=samples.astype(np.float64), sr=rate, n_fft=400, hop_length=200, n_mels=40, htk=True, norm=None,
        pad_mode="reflect",
    )  # fmt: skip
    return np.log(np.maximum(power.T, 1e-10))


PAIRS: list[tuple[str, Callable[[Any, int], Any], Callable[[int], Any]]] = [
    ("kaldi", kaldi, lambda rate: Kaldi(rate=rate, bands=40)),
    ("librosa", librosa, lambda rate: Librosa(rate=rate)),
    ("htk", htk, lambda rate: Htk(rate=rate)),
]


def main() -> None:
    """The largest difference of each definition on a second of noise, at four rates."""
    rng = np.random.default_rng(0)
    for rate in (8_000, 16_000, 22_050, 44_100):
        samples = (0.1 * rng.normal(size=rate)).astype(np.float32)
        for name, program, ours in PAIRS:
            wanted, found = program(samples, rate), ours(rate)(samples)
            assert wanted.shape == found.shape, (name, rate, wanted.shape, found.shape)
            print(
                f"{name:8} {rate:6} Hz  {found.shape[0]:4} frames  largest difference {abs(wanted - found).max():.1e}"
            )


if __name__ == "__main__":
    main()

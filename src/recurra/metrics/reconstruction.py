"""How well rows are said again: squared error, its ratio to the range in decibels, and the share of the variance.

Errors are of scaled numbers, so that columns of different units count alike; of `range` scaling they are of 0..1.
"""

from __future__ import annotations

import math

from recurra.base.contracts import Score

FORMULAS = {
    "mse": "mean (x - y)^2 of all numbers, as they are scaled",
    "psnr": "10 log10(range^2 / mse); range: from the least to the largest number of the training rows",
    "r2": "1 - sum (x - y)^2 / sum (x - m)^2, m the mean of the training rows: 0 for this mean, 1 at best",
    "detail_kept": "power of what is said beside that of the rows, at the finest scale that holds 5 % of theirs",
    "frame_accuracy": "of notes that sounded, or were said with more than 1/2, the share that is both",
    "nats": "- log p(x | code) of a row",
    "kl": "KL(q(z | x) || p(z)) of a row, in nats",
    "active_units": "numbers of the code whose mean varies by more than 0.01 from row to row (Burda et al. 2016)",
    "mutual_information": "E log q(z | x) - log mean q(z | x') of up to 500 rows, in nats (Hoffman & Johnson 2016)",
    "elbo": "log p(x | z) - KL of a row, z drawn once: at most log p(x)",
    "nll": "- log of the mean of p(x | z) p(z) / q(z | x) over drawn z: at least - log p(x) (Burda et al. 2016)",
}


def reconstruction_scores(squared: float, spread: float, count: int, span: float, split: str) -> tuple[Score, ...]:
    """MSE, PSNR and R2.

    squared: sum of squared errors of `count` numbers      spread: those of the mean      span: the range
    """
    mse = squared / max(count, 1)
    r2 = 1 - squared / spread if spread > 0 else float(squared == 0)
    return (
        Score("mse", mse, "", "lower", split),
        Score("psnr", psnr(mse, span), "dB", "higher", split),
        Score("r2", r2, "", "higher", split),
    )


def psnr(mse: float, span: float) -> float:
    """10 log10(span^2 / mse), in decibels, 200 at most: no error at all would be infinite."""
    if mse <= 0 or span <= 0:
        return 200.0
    return min(10 * math.log10(span**2 / mse), 200.0)

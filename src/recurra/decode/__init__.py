"""From a model's next-token probabilities to whole sequences. Knows no model: everything is given a `Steps`.

steps       `Steps`, what is asked of a model; `Hypothesis`, what is answered
greedy      `greedy`: always the most probable token
sampling    `sample`: temperature, top-k, top-p, and a draw that is a function of (seed, row, step); `Sampling`
beam        `beam_search`: n-best, batched over rows and beams, with an early stop that changes nothing
ctc         what is said in CTC's logits, frame by frame; prefix_beam  the most probable texts, with language models
transducer  units of a transducer, greedy and by a beam
            word_beam  the most probable words by their pronunciations, a tree of which is in pronunciations
fusion      language models in a search; ngrams  one of an ARPA file; unigrams  of words by their numbers; texts  hot
            words, a lexicon
reading     texts that a network reads once, those that wait together
loop        `stream`: one token after the other, as they come; the loop of `greedy` and `sample`
penalties   LENGTH_PENALTIES: `none`, `mean`, `wu`
limits      the checks of the common options; least and greatest length, no repeated n-gram

Words that hold everywhere here: a row is one sentence of the batch; a step is one call of the model, from 1;
`length` counts steps, so a sequence of five tokens and its end has length 6.

What is as wide as the vocabulary stays in torch, on the model's device. The bookkeeping (K candidates a row) is NumPy
on the CPU: its arrays are so small that a call of torch would cost more than its work, and on a GPU there is one
transfer a step in either direction.
"""

from recurra.decode.beam import beam_search
from recurra.decode.greedy import greedy
from recurra.decode.loop import Choose, Greedy, Token, stream
from recurra.decode.penalties import LENGTH_PENALTIES, LengthPenalty
from recurra.decode.sampling import Sampling, sample
from recurra.decode.steps import Hypothesis, Steps

__all__ = [
    "LENGTH_PENALTIES",
    "Choose",
    "Greedy",
    "Hypothesis",
    "LengthPenalty",
    "Sampling",
    "Steps",
    "Token",
    "beam_search",
    "greedy",
    "sample",
    "stream",
]

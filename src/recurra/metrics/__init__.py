"""How good the answers are: plain Python and NumPy in, Scores and Tables out. No torch; other packages where needed.

outputs          LabelOutput, LabelSetOutput: what a classifier says about one row
labelling        gold labels beside outputs, checked once, as arrays: `labelling`, `set_labelling`
classification   one label per row: accuracy, precision, recall, F1, log loss; confusion matrix, most confused pairs
multilabel       any number of labels per row: subset accuracy, Hamming loss, precision, recall, F1, log loss
temperature      one number that makes probabilities fit
calibration      does 80 % sure mean right in 80 % of the cases: calibration error and reliability table
ranking          two labels: area under the ROC curve, average precision
dialogue         whether replies differ, how long and how dull they are; the right one among others
tfidf            texts as weights of their words, and which are nearest to another
spearman         whether two orders of the same things agree
sequences        a written answer beside what was expected: exact match, other accepted answers; SEQUENCE_SCORES
bleu             translation: BLEU with its parts, chrF, signatures
rouge            summarization: ROUGE-1, -2, -L
tags             a tag for each token: accuracy, also of unseen words; precision, recall, F1; confusion
spans            precision, recall and F1 of spans; kinds of mistakes
tag_baselines    the most frequent tag of a word; spans by a dictionary
phones           grapheme_to_phoneme: word and phone error rates
scales           reconstructions: how much detail comes back, by scale
ngrams           counting one token, or two: the baselines of a language model
anomalies        which points of a series are unusual: volumes, ranges, affiliation; thresholds; detectors to beat
baselines        what a model must beat: the most frequent label; TF-IDF with logistic regression

Rules that all of them follow:
a score that would be 0/0 (precision of a label that is never predicted, recall of one that never occurs) is 0;
a gold label outside the label set stops with its origin, or (`unknown="wrong"`) is one more class that is never
predicted and has probability 0;
the names of the scores depend on the gold labels and the label set only, so a baseline's stand beside a model's.
"""

from recurra.metrics.baselines import (
    Baseline,
    Compared,
    Majority,
    MajoritySets,
    TfidfLogistic,
    TfidfLogisticSets,
    compare,
    label_baselines,
    label_set_baselines,
)
from recurra.metrics.bleu import Bleu
from recurra.metrics.calibration import calibration_error, reliability
from recurra.metrics.classification import confusion, most_confused, scores
from recurra.metrics.labelling import Labelling, SetLabelling, labelling, set_labelling
from recurra.metrics.multilabel import label_counts, set_scores
from recurra.metrics.outputs import LabelOutput, LabelSetOutput
from recurra.metrics.phones import Phones
from recurra.metrics.ranking import average_precision, roc_auc
from recurra.metrics.rouge import Rouge
from recurra.metrics.sequences import (
    SEQUENCE_SCORES,
    Exact,
    Pair,
    SequenceScores,
    exact_scores,
    length_bins,
    main_score,
)
from recurra.metrics.spans import span_mistakes, span_scores
from recurra.metrics.tag_baselines import FrequentTag, SpanDictionary
from recurra.metrics.tags import most_confused_tags, per_tag_scores, tag_confusion, tag_scores
from recurra.metrics.temperature import sigmoid_temperature, softmax_temperature

__all__ = [
    "SEQUENCE_SCORES",
    "Baseline",
    "Compared",
    "Exact",
    "FrequentTag",
    "LabelOutput",
    "LabelSetOutput",
    "Labelling",
    "Majority",
    "MajoritySets",
    "Pair",
    "SequenceScores",
    "SetLabelling",
    "SpanDictionary",
    "TfidfLogistic",
    "TfidfLogisticSets",
    "average_precision",
    "calibration_error",
    "compare",
    "confusion",
    "exact_scores",
    "label_baselines",
    "label_counts",
    "label_set_baselines",
    "labelling",
    "length_bins",
    "main_score",
    "most_confused",
    "most_confused_tags",
    "per_tag_scores",
    "reliability",
    "roc_auc",
    "scores",
    "set_labelling",
    "set_scores",
    "sigmoid_temperature",
    "softmax_temperature",
    "span_mistakes",
    "span_scores",
    "tag_confusion",
    "tag_scores",
]

SEQUENCE_SCORES.add("translation", Bleu)
SEQUENCE_SCORES.add("summarization", Rouge)
SEQUENCE_SCORES.add("grapheme_to_phoneme", Phones)
SEQUENCE_SCORES.add("exact", Exact)

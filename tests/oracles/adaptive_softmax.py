"""The adaptive softmax of Grave et al. 2017, arXiv:1609.04309, section 4, token by token in NumPy float64."""

from __future__ import annotations

import numpy as np


def log_softmax(logits):
    shifted = logits - logits.max()
    return shifted - np.log(np.exp(shifted).sum())


def log_probability(h, token, cutoffs, words, biases, clusters, cluster_bias, projections):
    """log p(token | h): of the head, or of its cluster in the head and of the token in the cluster.

    h: (D,)   cutoffs: the first token of each cluster   words[k]: (V_k, D_k), biases[k]: (V_k,); 0 is the head
    clusters: (K, D), cluster_bias: (K,): the clusters' entries in the head   projections[k]: (D_k, D), from 1
    """
    head = np.concatenate([words[0] @ h + biases[0], clusters @ h + cluster_bias])
    first = log_softmax(head)
    if token < cutoffs[0]:
        return first[token]
    k = max(k for k, cutoff in enumerate(cutoffs, start=1) if token >= cutoff)
    inner = projections[k] @ h
    second = log_softmax(words[k] @ inner + biases[k])
    return first[cutoffs[0] + k - 1] + second[token - cutoffs[k - 1]]

"""How well scores of points find labelled anomalies, thresholds from clean data, and detectors without a network.

volumes      VUS-PR and VUS-ROC: areas under curves, averaged over how near a miss may be
ranges       precision, recall and F1 of ranges
affiliation  precision, recall and F1 by distances in time
scoring      all of them as Scores
period       how many steps a series takes to repeat itself
thresholds   by quantile, by false alarms a day, by the tail of the clean scores
windows      from windows to points
detectors    principal components, isolation forest, moving Gaussian, matrix profile

Point adjustment is not offered: a random score wins by it (docs/guide/anomalies.md).
"""

from recurra.metrics.anomalies.affiliation import affiliation
from recurra.metrics.anomalies.period import period
from recurra.metrics.anomalies.ranges import range_scores
from recurra.metrics.anomalies.scoring import anomaly_scores, mean_scores
from recurra.metrics.anomalies.volumes import volumes

__all__ = ["affiliation", "anomaly_scores", "mean_scores", "period", "range_scores", "volumes"]

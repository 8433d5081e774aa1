"""What training minimises, as sums in nats over a counted number of targets.

cross_entropy                 one class of C per row
binary_cross_entropy          any number of C labels per row: C yes/no questions
cross_entropy_per_row         the same terms before they are summed, to find the row that is not finite
binary_cross_entropy_per_row
balanced_weights              class weights that give every class the same share of the loss
ctc.ctc_loss                  a text of any row of frames, over all ways to spread it over them
transducer.transducer_loss    the same, each unit given those before it
contrastive.contrastive_nats  pairs, each of which must be found among the others of its batch
fixed_sum                     a sum whose last bit does not depend on the number of threads
steady_sigmoid                the logistic function, whose bits do not depend on what stands beside a number

Under class weights and label smoothing `Loss.count` stays the number of targets. torch's mean divides by the sum of
the weights of the targets that happen to be in the batch, so there an example's gradient depends on its neighbours,
and in a batch of one the weight cancels. Here a weight always scales the gradient of its class.
"""

from recurra.losses.classification import (
    balanced_weights,
    binary_cross_entropy,
    binary_cross_entropy_per_row,
    cross_entropy,
    cross_entropy_per_row,
)
from recurra.losses.steady import steady_sigmoid
from recurra.losses.summing import fixed_sum

__all__ = [
    "balanced_weights",
    "binary_cross_entropy",
    "binary_cross_entropy_per_row",
    "cross_entropy",
    "cross_entropy_per_row",
    "fixed_sum",
    "steady_sigmoid",
]

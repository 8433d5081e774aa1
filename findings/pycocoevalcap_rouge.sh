#!/usr/bin/env bash
# ROUGE-L of a caption with two references, by the tool of the COCO captions. Seen with pycocoevalcap 1.2, beside rouge-score 0.1.2:
#   - "a red boat on a lake" has 0.709 against the first reference alone, 0.400 against the second alone, and 0.924 against both.
#   - Lin (2004, "ROUGE: a package for automatic evaluation of summaries", section 2.4) takes the best single reference, and so does rouge-score
#     (`score_multi`): its value for both is its value for the first.
#   - Cause: the greatest precision and the greatest recall are looked for apart, and may come from two references; a short one gives
#     the recall, a long one the precision. 0.924 is F (beta = 1.2) of recall 3/3, of the first, and precision 5/6, of the second.
# So a caption scores higher beside more references than beside the best of them. Exits with 1 if any of this changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check numpy==2.4.6 rouge-score==0.1.2
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check --no-deps pycocoevalcap==1.2
"$folder/venv/bin/python" - <<'PY'
import sys

from pycocoevalcap.rouge.rouge import Rouge
from rouge_score.rouge_scorer import RougeScorer

SAID = "a red boat on a lake"
SHORT, LONG = "a red boat", "there is one old and very small red boat far out on a lake in the evening"
coco, scorer = Rouge(), RougeScorer(["rougeL"])
first, second, both = (coco.calc_score([SAID], references) for references in ([SHORT], [LONG], [SHORT, LONG]))
one, many = (scorer.score_multi(references, SAID)["rougeL"].fmeasure for references in ([SHORT], [SHORT, LONG]))
precision, recall, beta = 5 / 6, 1.0, 1.2
apart = (1 + beta**2) * precision * recall / (recall + beta**2 * precision)
print(f"pycocoevalcap: {first:.3f}, {second:.3f}, both {both:.3f}; rouge-score: {one:.3f}, both {many:.3f}")
seen = {
    "0.709 and 0.400 alone": abs(first - 0.7093) < 1e-3 and abs(second - 0.4003) < 1e-3,
    "0.924 against both, more than either": abs(both - 0.9242) < 1e-3,
    "which is F of a precision and a recall of two references": abs(both - apart) < 1e-9,
    "rouge-score takes the best single reference": one == many,
}
for what, held in seen.items():
    print(f"{'yes' if held else 'NO '}  {what}")
sys.exit(not all(seen.values()))
PY

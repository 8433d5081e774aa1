"""How a whole training went, from its scores: what went wrong in words, with numbers, and what to change."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from recurra.base.contracts import Score
from recurra.doctor.advice import Advice, Tree, one_advice, part, warm_up

# Steps under which hardly any network has learned something: Adam moves a weight by about its rate a step, 0.003, and
# weights are of order 0.1 to 1.
FEW_STEPS = 200
# Train further ahead of dev than this, of 1: rows are known by heart.
APART = 0.15
# A loss of more than this share of what frequencies alone reach has learned no more than they.
PLATEAU = 0.98
# Nats that a code says of a row, under which its decoder has learned to do without it.
NO_CODE = 0.1
# What comes back of the finest detail under which rows are blurred, where most of what they are comes back (R2).
BLURRED, MOSTLY_RIGHT = 0.5, 0.5
# Of a transcription: steps that say nothing, and the length of what is said beside what should be, of a collapse;
# and frames that are one step, from where on more of them are no advice.
MOSTLY_BLANK, LITTLE_SAID, MOST_STACKED = 0.95, 0.25, 8
# Rows of a batch, fewer of which are not advised: their gradients differ too much.
FEWEST_ROWS = 8
# The baselines that know how frequent each token is.
UNIGRAMS = ("unigrams", "unigram")
# The best of the last epochs is this much better than the best before them, as a share of what was gained in all.
STILL_RISING = 0.02


@dataclass(frozen=True, slots=True)
class Story:
    """A training that has ended. Scores are of the one that chose the best epoch, unless they are named.

    select, better: its name, and which way is up      floor: its value without any learning
    dev: by epoch      steps: done; all: planned       early: whether it ended before its last epoch
    train: of rows that were learned from, None where it is not known
    scores, baselines: of the model and of each baseline, on the split that judges it
    """

    select: str
    better: str
    floor: float
    dev: Sequence[float]
    steps: int
    all_steps: int
    early: bool
    train: float | None
    scores: Sequence[Score]
    baselines: Mapping[str, Sequence[Score]] = field(default_factory=dict)

    @property
    def sign(self) -> float:
        return 1.0 if self.better == "higher" else -1.0

    @property
    def best(self) -> float | None:
        """The best dev score; None where no epoch had a number."""
        known = [value for value in self.dev if value == value]
        return max(known, key=lambda value: self.sign * value) if known else None

    @property
    def on_floor(self) -> bool:
        return self.best is None or self.sign * self.best <= self.sign * self.floor

    def value(self, name: str) -> float | None:
        return next((s.value for s in self.scores if s.name == name), None)


@dataclass(frozen=True, slots=True)
class Finding:
    """word: what is wrong, in a few words; evidence: one sentence with the numbers; advice: what to change."""

    word: str
    evidence: str
    advice: tuple[Advice, ...] = ()

    def __str__(self) -> str:
        tried = "; or ".join(f"{one.change} ({one.why.rstrip('.')})" for one in self.advice)
        return f"{self.word}: {self.evidence}{f' Try {tried}.' if tried else ''}"


def findings(story: Story, tree: Tree) -> tuple[Finding, ...]:
    """What is wrong with a training, the root before what follows from it; nothing where all is well.

    tree: the resolved config
    """
    found = [
        finding
        for look in (_blank_collapse, _collapsed_code, _unigram_plateau, _learned_nothing, _one_answer)
        for finding in look(story, tree)
    ][:1]
    if not found:
        found = [finding for look in _OTHERS for finding in look(story, tree)]
    return tuple(found)


def _learned_nothing(story: Story, tree: Tree) -> Iterator[Finding]:
    if not story.on_floor:
        return
    value = "no number" if story.best is None else f"{story.best:.4g}"
    where = f"dev {story.select} is {value} at its best, and takes no learning to reach ({story.floor:.4g})"
    if story.early:
        yield Finding(
            "stopped before it learned",
            f"{where}; training stopped after {story.steps:,} of {story.all_steps:,} steps.",
            (one_advice("it then has all its steps.", {"training.patience": "null"}), *_more_steps(tree)),
        )
    elif story.steps < FEW_STEPS:
        yield Finding("too few steps", f"{where}; there were {story.steps:,} steps.", tuple(_more_steps(tree)))
    else:
        yield Finding(
            "learned nothing", f"{where}, after {story.steps:,} steps.", (*_other_rate(tree), *_more_steps(tree))
        )


def _blank_collapse(story: Story, tree: Tree) -> Iterator[Finding]:
    """CTC learns first that most steps say nothing; some trainings never leave that."""
    blanks, ratio = story.value("blank_share"), story.value("length_ratio")
    if blanks is None or ratio is None or blanks < MOSTLY_BLANK or ratio > LITTLE_SAID:
        return
    few = (one_advice("fewer steps have nothing to say.", {"task.stack": stack}) for stack in _larger_stack(tree))
    yield Finding(
        "blank collapse",
        f"{blanks:.1%} of the steps say nothing, and what is said is {ratio:.2g} times as long as it should be, after "
        f"{story.steps:,} steps of training.",
        (*_more_steps(tree), *_other_rate(tree), *few),
    )


def _larger_stack(tree: Tree) -> Iterator[int]:
    """Twice the frames of a step, where there may be more."""
    stack = tree.get("task", {}).get("stack")
    if isinstance(stack, int) and stack < MOST_STACKED:
        yield min(2 * stack, MOST_STACKED)


def _collapsed_code(story: Story, tree: Tree) -> Iterator[Finding]:
    """Posterior collapse: a KL that costs from the first step drives out what a code says (Bowman et al. 2016)."""
    active, told, kl = (story.value(name) for name in ("active_units", "mutual_information", "kl"))
    if active is None or told is None or kl is None or (active > 0 and told >= NO_CODE):
        return
    rise = max(1, story.all_steps // 4)
    yield Finding(
        "collapsed code",
        f"{active:.0f} numbers of the code are active, its KL is {kl:.3g} nats and it has {told:.3g} nats of mutual "
        "information with the rows: they are said without it.",
        (
            one_advice(
                "the code is used before it costs.", {"model.latent.warmup": f"{{name: linear, updates: {rise}}}"}
            ),
            one_advice("so much of it costs nothing less when it is left out.", {"model.latent.free_bits": "0.25"}),
        ),
    )


def _unigram_plateau(story: Story, tree: Tree) -> Iterator[Finding]:
    """Frequencies of tokens are learned first; where nothing else was, the source is not read."""
    ours, theirs = story.value("log_loss"), _of(story, *UNIGRAMS, name="log_loss")
    if ours is None or theirs is None or ours < PLATEAU * theirs or story.steps < FEW_STEPS:
        return
    yield Finding(
        "unigram plateau",
        f"log loss is {ours:.4g} a token after {story.steps:,} steps; to know how frequent each token is has "
        f"{theirs:.4g}, whatever is read.",
        tuple(warm_up(tree)) or tuple(_other_rate(tree)),
    )


def _without_warm_up(story: Story, tree: Tree) -> Iterator[Finding]:
    """Norms behind each part make the first gradients of a Transformer large (Xiong et al. 2020, section 3)."""
    behind = [name for name in ("encoder", "decoder") if _norms_behind(part(tree, name))]
    if behind and (advice := tuple(warm_up(tree))):
        yield Finding(
            "no warm-up",
            f"model.{behind[0]}.norm_first is false, and the learning rate begins at its peak.",
            advice,
        )


def _norms_behind(options: Mapping[str, Any]) -> bool:
    return options.get("name") == "transformer" and options.get("norm_first") is False


def _one_answer(story: Story, tree: Tree) -> Iterator[Finding]:
    recalls = {s.name: s.value for s in story.scores if s.name.startswith("recall[")}
    always = [name for name, value in recalls.items() if value == 1.0]
    if len(recalls) < 2 or len(always) != 1 or any(value for name, value in recalls.items() if name != always[0]):
        return
    label = always[0].removeprefix("recall[").removesuffix("]")
    yield Finding(
        "one answer only",
        f"every row is answered with '{label}'.",
        (*_more_steps(tree), *_set_if(tree, "task", "class_weights", "none", "balanced", "every label counts alike.")),
    )


def _few_steps(story: Story, tree: Tree) -> Iterator[Finding]:
    if story.steps < FEW_STEPS and not story.early:
        yield Finding("too few steps", f"there were {story.steps:,} steps in all.", tuple(_more_steps(tree)))


def _blur(story: Story, tree: Tree) -> Iterator[Finding]:
    """A code too small, or a loss that averages what it does not know, loses detail first (Larsen et al. 2016)."""
    kept, right = story.value("detail_kept"), story.value("r2")
    if kept is None or right is None or kept >= BLURRED or right < MOSTLY_RIGHT:
        return
    yield Finding(
        "blur by scale",
        f"r2 is {right:.3g}, and of the power of the finest detail {kept:.1%} comes back; what of it is noise "
        "cannot, and need not.",
        tuple(_more_detail(tree)),
    )


def _more_detail(tree: Tree) -> Iterator[Advice]:
    size = tree["task"].get("code_size")
    if isinstance(size, int):
        yield one_advice("the code may be too small for it.", {"task.code_size": 2 * size})
    latent = part(tree, "latent")
    beta = latent.get("beta")
    if latent.get("name") == "variational" and isinstance(beta, int | float) and beta > 0:
        yield one_advice("less is paid for what a code says.", {"model.latent.beta": round(beta / 4, 6)})
    if part(tree, "encoder").get("outputs") == "mean":
        yield one_advice("the code then knows where something is.", {"model.encoder.outputs": "flat"})


def _loss_of_majority(story: Story, tree: Tree) -> Iterator[Finding]:
    ours, theirs = story.value("log_loss"), _of(story, "majority", name="log_loss")
    if ours is None or theirs is None or ours <= theirs:
        return
    yield Finding(
        "too sure of itself",
        f"log loss is {ours:.4g}; to say how frequent each label is has {theirs:.4g}.",
        (
            *_set_if(tree, "task", "calibration", "none", "temperature", "probabilities then fit dev."),
            *_set_if(tree, "training", "select", "auto", "log_loss", "the epoch with the best probabilities is kept."),
            *_more_dropout(tree),
        ),
    )


def _under_baseline(story: Story, tree: Tree) -> Iterator[Finding]:
    ours = story.value(story.select)
    theirs = {name: value for name in story.baselines if (value := _of(story, name, name=story.select)) is not None}
    if ours is None or not theirs:
        return
    name = max(theirs, key=lambda name: story.sign * theirs[name])
    if story.sign * theirs[name] > story.sign * ours:
        yield Finding(
            "worse than a baseline",
            f"{story.select} is {ours:.4g}, and {theirs[name]:.4g} for the baseline {name}, which needs no training of "
            "a network.",
            (*_more_dropout(tree), *_max_pooling(tree)),
        )


def _still_rising(story: Story, tree: Tree) -> Iterator[Finding]:
    """The last tenth of the epochs, one at least, against all before."""
    last = max(1, len(story.dev) // 10)
    earlier, latest = ([story.sign * v for v in part if v == v] for part in (story.dev[:-last], story.dev[-last:]))
    if story.early or len(story.dev) < 3 or not earlier or not latest:
        return
    before, after = max(earlier), max(latest)
    gained = after - min(story.sign * story.floor, earlier[0])
    if gained > 0 and after - before > STILL_RISING * gained:
        epochs = int(tree["training"].get("epochs", len(story.dev)))
        yield Finding(
            "still improving",
            f"dev {story.select} was getting better to the end: {story.sign * before:.4g}, "
            f"then {story.sign * after:.4g}.",
            (one_advice("it had not come to its end.", {"training.epochs": 2 * epochs}),),
        )


def _overfitted(story: Story, tree: Tree) -> Iterator[Finding]:
    if story.train is None or story.best is None or not 0 <= story.floor <= 1 or story.better != "higher":
        return
    if story.train - story.best > APART:
        yield Finding(
            "overfitting",
            f"{story.select} is {story.train:.4g} on rows that it learned from, {story.best:.4g} on dev.",
            tuple(_more_dropout(tree)),
        )


_OTHERS: tuple[Callable[[Story, Tree], Iterator[Finding]], ...] = (
    _few_steps,
    _without_warm_up,
    _loss_of_majority,
    _under_baseline,
    _still_rising,
    _overfitted,
    _blur,
)


def _of(story: Story, *baselines: str, name: str) -> float | None:
    """A score of the first of these baselines that has it."""
    found = (s.value for baseline in baselines for s in story.baselines.get(baseline, ()) if s.name == name)
    return next(found, None)


def _more_steps(tree: Tree) -> Iterator[Advice]:
    training = tree["training"]
    rows, epochs = int(training.get("batch_rows", 0)), int(training.get("epochs", 0))
    fewer = max(rows // 4, FEWEST_ROWS)
    if rows >= 2 * fewer:
        yield one_advice(f"{rows // fewer} times as many steps.", {"training.batch_rows": fewer})
    elif epochs:
        yield one_advice("three times as many steps.", {"training.epochs": 3 * epochs})


def _other_rate(tree: Tree) -> Iterator[Advice]:
    optimizer = tree["training"].get("optimizer")
    rate = optimizer.get("lr") if isinstance(optimizer, Mapping) else None
    if isinstance(rate, int | float):
        factor = 0.3 if rate > 1e-3 else 3
        yield one_advice("the steps may be too large or too small.", {"training.optimizer.lr": f"{factor * rate:.2g}"})


def _more_dropout(tree: Tree) -> Iterator[Advice]:
    inputs, head = part(tree, "inputs"), part(tree, "head")
    given = {
        "inputs.embedding_dropout": inputs.get("embedding_dropout"),
        "head.output_dropout": head.get("output_dropout"),
    }
    low = {f"model.{path}": 0.5 for path, value in given.items() if _below(value, 0.5)}
    if low:
        yield one_advice("against learning rows by heart.", low)
    elif _below(inputs.get("word_dropout"), 0.3):
        yield one_advice("no word alone may decide.", {"model.inputs.word_dropout": 0.3})


def _max_pooling(tree: Tree) -> Iterator[Advice]:
    if part(tree, "head").get("pooling") == "last":
        yield one_advice("one word is often enough to tell the label.", {"model.head.pooling": "max"})


def _set_if(tree: Tree, section: str, name: str, now: str, then: str, why: str) -> Iterator[Advice]:
    if tree[section].get(name) == now:
        yield one_advice(why, {f"{section}.{name}": then})


def _below(value: Any, limit: float) -> bool:
    return isinstance(value, int | float) and value < limit

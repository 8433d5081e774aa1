"""A masked language model as a task: what is hidden, what is packed, what is scored, and what cannot be asked for."""

from __future__ import annotations

import hashlib
import math
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch

from recurra.base.answers import Filled
from recurra.base.contracts import Batch, Origin, Record
from recurra.base.errors import ConfigError, DataError, RunError
from recurra.data.tokenizers.wordpiece import WordPiece
from recurra.models import SequenceModel
from recurra.tasks import MaskedLM, MaskedLMConfig
from recurra.tasks.masked_lm import masks
from recurra.tasks.masked_lm.masks import MaskRule, drawn, key_of
from recurra.tasks.sizing import Seen

TEXTS = ["the cat sat on the mat", "", "a dog ran far away from the cat", "the end"]
# Pieces of the texts, each a word: letters are pieces too, and words are merged from them.
WORDS = {"name": "wordpiece", "vocab_size": 200}


def records(texts: list[str] = TEXTS) -> list[Record]:
    return [Record({"text": text}, Origin("t.txt", line)) for line, text in enumerate(texts, 1)]


def fitted(texts: list[str] = TEXTS, **options: Any) -> MaskedLM:
    return MaskedLMConfig(**{"tokenizer": WORDS, **options}).fit(records(texts), "t.txt")


def spelt(task: MaskedLM, texts: list[str] = TEXTS) -> list[str]:
    """Training sequences as text."""
    plan = MaskedLMConfig(tokenizer=WORDS, max_length=task.longest, document="file" if task.packed else "row")
    rows = [plan.read(record) for record in records(texts)]
    return [" ".join(one.encoded.tokens) for one in task.examples(rows)]


def model_of(task: MaskedLM, width: int = 8) -> SequenceModel:
    torch.manual_seed(3)
    model = SequenceModel(
        task.model_sizes,
        inputs={"name": "word_pieces", "embedding_size": width},
        encoder={"name": "pretrained", "hidden_size": width, "num_heads": 2, "num_layers": 1, "pooler": False},
        head={"name": "masked"},
    )
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.4)
    return model.eval()


def rule(share: float = 0.15, *, V: int = 1000, whole: bool = False) -> MaskRule:
    ordinary = np.ones(V, bool)
    ordinary[:9] = False
    inside = np.arange(V) % 3 == 0 if whole else None
    return MaskRule(share, 8, ordinary, inside)


# -- what is drawn -----------------------------------------------------------------------------------------------------


def splitmix(state: int, number: int) -> list[int]:
    """Steele, Lea & Flood 2014, figure 17, in whole numbers."""
    found = []
    for _ in range(number):
        state = (state + 0x9E3779B97F4A7C15) % 2**64
        z = state
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
        z = (z ^ (z >> 27)) * 0x94D049BB133111EB % 2**64
        found.append(z ^ (z >> 31))
    return found


def test_draws_are_those_of_splitmix64() -> None:
    # The first numbers of seed 0 are published with the generator: 0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4.
    assert splitmix(0, 2) == [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4]
    (begun,) = splitmix(5 ^ masks.FATE, 1)
    expected = [(z >> 11) / 2**53 for z in splitmix(begun, 4)]
    np.testing.assert_array_equal(drawn(5, 4, masks.FATE), expected)


def test_the_key_of_a_sequence_is_of_its_seed_its_epoch_and_its_pieces() -> None:
    (seed,) = splitmix(7, 1)
    (both,) = splitmix(seed ^ 3, 1)
    pieces = int.from_bytes(hashlib.blake2b(b"abc", digest_size=8).digest(), "little")
    assert key_of(7, 3, b"abc") == splitmix(both ^ pieces, 1)[0]
    assert len({key_of(s, e, t) for s in (1, 2) for e in (1, 2) for t in (b"a", b"b")}) == 8


def test_shares_are_15_percent_and_of_these_80_10_10() -> None:
    own, rng = rule(), np.random.default_rng(0)
    able = chosen = 0
    fates = np.zeros(3)
    for number in range(1200):
        ids = rng.integers(0, 1000, rng.integers(40, 128))
        key = key_of(1, 1, b"%d" % number)
        places = own.places(ids, key)
        hidden = own.hidden(ids, places, key)
        able, chosen = able + int(own.ordinary[ids].sum()), chosen + len(places)
        assert own.ordinary[ids[places]].all()
        assert (np.delete(hidden, places) == np.delete(ids, places)).all()
        now = hidden[places]
        fates += [(now == 8).sum(), ((now != 8) & (now != ids[places])).sum(), (now == ids[places]).sum()]
        assert own.ordinary[now[now != 8]].all()
    assert able > 90_000
    # 4 deviations of a binomial share; rounding to whole numbers by a draw keeps the mean exact.
    assert chosen / able == pytest.approx(0.15, abs=4 * math.sqrt(0.15 * 0.85 / able))
    for share, wanted in zip(fates / chosen, (0.8, 0.1, 0.1), strict=True):
        assert share == pytest.approx(wanted, abs=4 * math.sqrt(wanted * (1 - wanted) / chosen) + 2e-4)


def test_what_is_drawn_decides_which_pieces_are_hidden_and_how() -> None:
    own, ids = rule(0.4), np.array([2, 100, 200, 300, 400, 500, 3])
    for key in range(20):
        order = np.argsort(drawn(key, 5, masks.CHOICE))
        number = int(0.4 * 5 + drawn(key, 1, masks.COUNT)[0])
        places = own.places(ids, key)
        assert places.tolist() == sorted(1 + order[:number])
        pool = np.arange(9, 1000)
        for at, fate, other, now in zip(
            places,
            drawn(key, number, masks.FATE),
            drawn(key, number, masks.OTHER),
            own.hidden(ids, places, key)[places],
            strict=True,
        ):
            assert now == (8 if fate < 0.8 else pool[int(other * 991)] if fate < 0.9 else ids[at])


def test_one_piece_is_hidden_at_least_and_no_mark() -> None:
    own = rule()
    assert own.places(np.array([2, 50, 3]), 1).tolist() == [1]
    assert own.places(np.array([2, 3]), 1).tolist() == []


def test_whole_words_are_hidden_together() -> None:
    own = rule(0.5, whole=True)
    ids = np.array([2, 10, 12, 15, 11, 13, 18, 14, 3])  # multiples of three go on with a word: 10+12+15, 11, 13+18, 14
    words = [{1, 2, 3}, {4}, {5, 6}, {7}]
    seen = set()
    for key in range(60):
        places = set(own.places(ids, key).tolist())
        assert places == set().union(*[word for word in words if word <= places])
        assert len(places) <= 4  # 0.5 of 7, rounded up or down
        seen |= {frozenset(word) for word in words if word <= places}
    assert seen == set(map(frozenset, words))


def test_a_sequence_hides_the_same_alone_and_in_a_batch_and_other_pieces_in_another_epoch() -> None:
    task = fitted()
    some = [task.example(record) for record in records(["the cat sat on the mat", "a dog ran far away from the cat"])]
    together, alone = task.hidden(some, (0, 1), 5, 2), [task.hidden([one], (9,), 5, 2) for one in some]
    for n, one in enumerate(alone):
        length, number = int(one.lengths[0]), int(one.inputs["place_lengths"][0])
        assert torch.equal(together.inputs["tokens"][:length, n], one.inputs["tokens"][:, 0])
        assert torch.equal(together.targets["tokens"][:number, n], one.targets["tokens"][:, 0])
        assert (together.inputs["places"][:number, n] // 2).tolist() == one.inputs["places"][:, 0].tolist()
    assert not all(
        torch.equal(task.hidden(some, (0, 1), 5, epoch).inputs["places"], together.inputs["places"])
        for epoch in (1, 3, 4)
    )


def test_the_sampler_hides_by_seed_and_epoch_each_sequence_once() -> None:
    task = fitted()
    some = [task.example(record) for record in records([f"the cat {'sat ' * n}on the mat" for n in range(12)])]
    sampler = task.sampler(some, batch_tokens=60, batch_rows=4, seed=9)
    plan = sampler.plan(2)
    assert sorted(i for _, indices in plan for i in indices) == list(range(12))
    for item in plan:
        batch, again = sampler.batch(item), task.hidden([some[i] for i in item[1]], item[1], 9, 2)
        assert torch.equal(batch.inputs["tokens"], again.inputs["tokens"])
        part = sampler.batch(item, slice(1, None, 2))
        assert torch.equal(part.inputs["tokens"], batch.inputs["tokens"][: len(part.inputs["tokens"]), 1::2])


def test_a_rank_without_rows_has_an_empty_batch() -> None:
    task = fitted()
    empty = task.hidden([], (), 1, 1)
    assert empty.inputs["tokens"].shape == (0, 0)
    assert len(empty.lengths) == 0


# -- sequences ---------------------------------------------------------------------------------------------------------


def test_rows_of_a_document_are_packed_and_a_blank_row_ends_it() -> None:
    task = fitted(max_length=16)
    assert spelt(task, ["the cat", "sat on", "", "the mat", "a dog", "the end"]) == [
        "[CLS] the cat sat on [SEP]",
        "[CLS] the mat a dog the end [SEP]",
    ]
    assert spelt(fitted(max_length=8), ["the cat sat", "on the", "mat a dog"]) == [
        "[CLS] the cat sat on the [SEP]",
        "[CLS] mat a dog [SEP]",
    ]
    assert spelt(fitted([t for t in TEXTS if t], document="row", max_length=8), ["the cat", "sat on"]) == [
        "[CLS] the cat [SEP]",
        "[CLS] sat on [SEP]",
    ]


def test_a_row_that_is_too_long_is_cut_and_nothing_is_left_out() -> None:
    found = spelt(fitted(max_length=8), ["the cat sat on the mat a dog ran far away from the cat", "the end"])
    assert found == [
        "[CLS] the cat sat on the mat [SEP]",
        "[CLS] a dog ran far away from [SEP]",
        "[CLS] the cat the end [SEP]",
    ]


def test_two_files_share_no_sequence() -> None:
    task = fitted()
    rows = [MaskedLMConfig().read(Record({"text": "the cat"}, Origin(f"{name}.txt", 1))) for name in "ab"]
    assert [" ".join(one.encoded.tokens) for one in task.examples(rows)] == ["[CLS] the cat [SEP]"] * 2


# -- the pieces --------------------------------------------------------------------------------------------------------


def test_pieces_begin_with_berts_marks_and_are_the_same_in_any_order_of_the_texts() -> None:
    texts = ["Lower lowest, lowing!", "the slow low wing"] * 3
    first, other = (WordPiece(vocab_size=40).train(some).to_json() for some in (texts, texts[::-1]))
    assert first == other
    words = list(first["library"]["model"]["vocab"])
    assert words[:5] == ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    assert len(words) == len(set(words)) <= 40
    assert {"l", "##o", "!", "low"} <= set(words)


def test_the_first_merges_are_of_the_most_frequent_pairs() -> None:
    # l o w: 5 times, with e r behind it twice. Pairs: (l, ##o) 5, (##o, ##w) 5, then (lo, ##w) 5, (##e, ##r) 2, ...
    words = list(WordPiece(vocab_size=16).train(["low low low", "lower lower"]).to_json()["library"]["model"]["vocab"])
    assert set(words[5:14]) == {"##e", "##o", "##r", "##w", "l", "e", "o", "r", "w"}  # letters, inside of words too
    assert words[14] in ("##ow", "lo")
    assert words[15] == "low"


def test_rare_characters_are_unknown_and_not_refused() -> None:
    texts = ["the cat " * 50, "".join(chr(0x4E00 + n) for n in range(300))]
    pieces: Any = WordPiece(vocab_size=200).train(texts)
    assert len(pieces.vocabulary) <= 204
    assert "cat" in pieces.tokenize("the cat")


# -- the head ----------------------------------------------------------------------------------------------------------


def layer_norm(x: Any, weight: Any, bias: Any) -> Any:
    mean = x.mean(-1, keepdims=True)
    return (x - mean) / np.sqrt(((x - mean) ** 2).mean(-1, keepdims=True) + 1e-12) * weight + bias


def test_the_loss_is_that_of_bert_in_numpy() -> None:
    task = fitted()
    model = model_of(task)
    some = [task.example(record) for record in records(["the cat sat on the mat", "a dog ran far away from the cat"])]
    batch = task.hidden(some, (0, 1), 1, 1)
    with torch.no_grad():
        loss = task.loss(model(batch), batch)
        x, lengths = model.inputs(batch)
        states = model.encoder(x, lengths, {}).outputs.double().numpy().reshape(-1, 8)
    w = {name: tensor.detach().double().numpy() for name, tensor in model.named_parameters()}
    w |= {"head.weight": w["inputs.words.weight"]}
    total = count = 0
    for n in range(2):
        for k in range(int(batch.inputs["place_lengths"][n])):
            h = states[int(batch.inputs["places"][k, n])]
            y = h @ w["head.transform.weight"].T + w["head.transform.bias"]
            y = y * 0.5 * (1 + np.array([math.erf(v / math.sqrt(2)) for v in y]))
            y = layer_norm(y, w["head.norm.weight"], w["head.norm.bias"])
            logits = w["head.weight"] @ y + w["head.bias"]
            wanted = some[n].encoded.ids[int(batch.inputs["places"][k, n]) // 2] - 4
            total += np.log(np.exp(logits - logits.max()).sum()) + logits.max() - logits[wanted]
            count += 1
    assert loss.count == count
    assert float(loss.total) == pytest.approx(total, rel=1e-5)  # float32


def test_the_head_has_the_table_of_the_inputs_and_no_gradient_at_places_that_are_not_asked_for() -> None:
    task = fitted()
    model = model_of(task).train()
    assert model.head.weight is model.inputs.words.weight
    some = [task.example(record) for record in records(["the cat sat on the mat"])]
    batch = task.collate(some, (0,))
    said = model(batch)
    assert said.outputs["hidden"].shape[:2] == batch.inputs["places"].shape


def test_a_head_for_inputs_without_pieces_or_of_another_width_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"masked tells pieces .* needs model.inputs: word_pieces"):
        SequenceModel({"tokens": 9}, inputs="tokens", encoder="recurrent", head="masked")
    with pytest.raises(ConfigError, match=r"masked reads 16 numbers and a piece's vector has 8"):
        SequenceModel(
            {"tokens": 9},
            inputs={"name": "word_pieces", "embedding_size": 8},
            encoder={"name": "transformer", "hidden_size": 16},
            head="masked",
        )


# -- scores and answers ------------------------------------------------------------------------------------------------


def test_scores_are_of_all_hidden_pieces_together_and_the_baseline_counts_pieces() -> None:
    task = fitted()
    model = model_of(task)
    some = [task.example(record) for record in records(["the cat sat on the mat", "a dog ran far away from the cat"])]
    batch = task.collate(some, (0, 1))
    told = task.predict(model, batch, some)
    with torch.no_grad():
        loss = task.loss(model(batch), batch)
    scores = {score.name: score.value for score in task.score(told, some, "dev")}
    assert scores["log_loss"] == pytest.approx(float(loss.mean), rel=1e-6)
    assert scores["perplexity"] == pytest.approx(math.exp(scores["log_loss"]))
    counts = np.zeros(len(task.vocabulary))
    for one in some:
        for piece in one.encoded.ids[1:-1]:
            counts[piece] += 1
    targets = task.targets_of(some)
    expected = -np.log((counts[targets] + 1) / (counts.sum() + len(counts))).mean()
    found = {s.name: s.value for s in task.baselines(some, {"dev": some}).scores["unigram"]}
    assert found["log_loss"] == pytest.approx(expected)
    assert found["accuracy"] == np.mean(targets == counts.argmax())
    assert task.possible_scores(some)[0].value == pytest.approx(task.rule.ordinary.sum())


def test_a_row_is_scored_with_the_same_bits_alone_and_in_a_batch() -> None:
    task = fitted()
    model = model_of(task, 16)
    some = [task.example(record) for record in records(["the cat sat on the mat", "the end", "a dog ran from the cat"])]
    together = task.predict(model, task.collate(some, (0, 1, 2)), some)
    assert together == [task.predict(model, task.collate([one], (0,)), [one])[0] for one in some]


def asked(task: MaskedLM, text: str) -> Any:
    return task.example(Record({"text": text}, Origin("argument", 1)), gold=False)


def test_a_mask_is_filled_with_the_most_probable_pieces() -> None:
    task = fitted()
    model = model_of(task)
    some = [asked(task, "the [MASK] sat on [MASK]."), asked(task, "the end"), asked(task, "[MASK]")]
    batch = task.collate(some, (0, 1, 2))
    with torch.no_grad():
        told = task.predict(model, batch, some)
        alone = [task.predict(model, task.collate([one], (0,)), [one])[0] for one in some]
    assert told == alone
    answer = task.answer(some[0], told[0])
    assert isinstance(answer, Filled)
    assert [len(guesses) for guesses in answer.masks] == [5, 5]
    assert all(a.probability >= b.probability for one in answer.masks for a, b in pairwise(one))
    ids = some[0].encoded.ids
    assert [task.vocabulary.tokens([i])[0] for i in ids[[0, 2, -1]]] == ["[CLS]", "[MASK]", "[SEP]"]
    with torch.no_grad():
        x, lengths = model.inputs(
            Batch({"tokens": torch.tensor(ids.astype(int))[:, None]}, torch.tensor([len(ids)]), {}, (0,))
        )
        h = model.head.rows(model.encoder(x, lengths, {}).outputs[2])
        chances = torch.softmax(h @ model.head.weight.T + model.head.bias, 1)[0]
    best = answer.masks[0][0]
    number = task.vocabulary.ids([best.piece])[0] - 4
    assert best.probability == pytest.approx(float(chances[number]), rel=1e-4)
    assert task.answer(some[1], told[1]).note == "no [MASK] in the text"
    assert "1 of 3 texts has no [MASK]" in task.warnings(told, some)[0]


def test_a_piece_that_goes_on_with_a_word_stands_close() -> None:
    task = fitted()
    assert task._filled("a [MASK] b [MASK]!", ["cat", "##s"]) == "a cat bs!"


def test_n_best_says_how_many_pieces() -> None:
    task = fitted().with_options({"n_best": 2})
    one = asked(task, "the [MASK]")
    (told,) = task.predict(model_of(task), task.collate([one], (0,)), [one])
    assert len(told.guesses[0]) == 2
    with pytest.raises(ConfigError, match="n_best: is 0, expected 1 to"):
        task.with_options({"n_best": 0})


def test_a_text_that_is_too_long_is_cut_and_said() -> None:
    task = fitted(max_length=8)
    one = asked(task, "the cat sat on the mat a dog [MASK]")
    assert one.length == 8
    (told,) = task.predict(model_of(task), task.collate([one], (0,)), [one])
    said = task.warnings([told], [one])
    assert any("longer than max_length" in line for line in said)


def test_a_mask_behind_the_longest_length_is_said_to_stand_there() -> None:
    task = fitted(max_length=8)
    one, other = (asked(task, text) for text in ("the cat sat on the mat a dog [MASK]", "the end"))
    batch = task.collate([one, other], (0, 1))
    told = task.predict(model_of(task), batch, [one, other])
    said = task.warnings(told, [one, other])
    assert said[0].startswith("1 of 2 texts has no [MASK]")
    assert not [line for line in task.warnings(told[:1], [one]) if "no [MASK]" in line]
    assert task.answer(one, told[0]).note == "[MASK] stands behind max_length, and is not read"
    assert task.answer(other, told[1]).note == "no [MASK] in the text"
    with pytest.raises(DataError, match=r"stands behind max_length \(8 pieces\), and is not read"):
        task.explain(model_of(task), one, torch.device("cpu"))


# -- what cannot be ----------------------------------------------------------------------------------------------------


def test_texts_without_a_piece_and_vocabularies_without_a_mask_are_refused(tmp_path: Any) -> None:
    with pytest.raises(DataError, match="all 2 training rows are blank"):
        fitted(["", " "])
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "the", "cat"]
    (tmp_path / "vocab.txt").write_text("\n".join(words) + "\n")
    with pytest.raises(DataError, match=r"the vocabulary has no \[MASK\], so nothing can be hidden"):
        fitted(tokenizer={"name": "pretrained", "folder": str(tmp_path)})
    with pytest.raises(ConfigError, match="tokenizer: 'words' has no"):
        fitted(tokenizer="words")
    task = fitted()
    with pytest.raises(DataError, match="dev: its rows hold no piece that could be hidden"):
        task.filter([task.example(record) for record in records(["", "☃"])], "dev")
    with pytest.raises(DataError, match=r"t.txt:2: column 'text' is empty"):
        MaskedLMConfig(tokenizer=WORDS, document="row").fit(records(), "t.txt")
    with pytest.raises(RunError, match="expected the pieces of a masked language model"):
        MaskedLMConfig().restore({}, "task.json")


def test_a_restored_task_reads_and_hides_as_the_one_it_was() -> None:
    task = fitted()
    again = MaskedLMConfig(tokenizer=WORDS).restore(task.to_json(), "task.json")
    one = records(["the cat sat on the mat"])[0]
    first, other = (each.hidden([each.example(one)], (0,), 1, 1) for each in (task, again))
    assert torch.equal(first.inputs["tokens"], other.inputs["tokens"])


# -- what init chooses -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rows", "vocabulary", "network", "epochs"),
    [  # rows of 100 words, 1.3 pieces each
        (100, 4_000, (2, 128, 2), 200),  # 13,000 pieces: as often as ever
        (8_000, 8_000, (3, 192, 3), 38),  # 1.04 million: 40 million in all
        (100_000, 30_000, (4, 256, 4), 3),  # 13 million
        (1_000_000, 30_000, (6, 384, 6), 3),
    ],
)
def test_the_network_grows_with_the_text(
    rows: int, vocabulary: int, network: tuple[int, int, int], epochs: int
) -> None:
    seen = Seen(records(["word " * 100] * 3), rows)
    found = {choice.path: choice.value for choice in MaskedLMConfig.sized({"text": "text"}, seen)}
    assert found["task.tokenizer"] == {"name": "wordpiece", "vocab_size": vocabulary}
    names = ("num_layers", "hidden_size", "num_heads")
    assert tuple(found[f"model.encoder.{name}"] for name in names) == network
    assert found["model.inputs.embedding_size"] == network[1]
    assert found["training.epochs"] == epochs


def test_sequences_of_which_nothing_can_be_hidden_are_left_out_of_training_and_said() -> None:
    task = fitted(["the cat sat on the mat", "a dog ran"] * 3, document="row")
    rows = [task.example(record) for record in records(["the cat", "☃ ☃", "the dog", "☃"])]
    kept, said = task.filter(rows, "train")
    assert [one.origin.line for one in kept] == [1, 3]
    assert said == (
        "train: 2 of 4 sequences were left out, because no piece of them can be hidden: all are unknown; the first: "
        "t.txt:2.",
    )
    assert len(task.filter(rows, "dev")[0]) == 4

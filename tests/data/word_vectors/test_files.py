"""Files of vectors in every form, and what is wrong with them."""

import gzip
import struct

import numpy as np
import pytest

from recurra.base.errors import ConfigError, DataError
from recurra.data.word_vectors import NGrams, Subwords, WordVectors, read_vectors, write_vectors
from recurra.data.word_vectors.subwords import fnv

WORDS = ("the", "Straße", "n.", "東京")
ROWS = np.array([[0.5, -1.25e-7], [3, 1 / 3], [0, 0], [1e30, -2]], np.float32)


def read(path, **options):
    notes = []
    return read_vectors(path, note=notes.append, **options), notes


def same(found, words=WORDS, rows=ROWS):
    assert found.words == tuple(words)
    np.testing.assert_array_equal(found.matrix, rows)


@pytest.mark.parametrize("suffix", [".txt", ".vec", ".bin", ".safetensors"])
def test_what_is_written_is_read_with_the_same_bits(tmp_path, suffix):
    path = tmp_path / f"vectors{suffix}"
    write_vectors(WordVectors(WORDS, ROWS), path)
    found, notes = read(path)
    same(found)
    assert notes == [f"{path}: 1 vectors are zero: nothing is near them."]
    same(read(path, top=2)[0], WORDS[:2], ROWS[:2])


def test_a_file_without_a_line_of_sizes_is_read_also_packed(tmp_path):
    path = tmp_path / "glove.txt.gz"
    path.write_bytes(gzip.compress(b"the 0.5 -0.25\nof 1e-3 2\n"))
    same(read(path)[0], ("the", "of"), np.array([[0.5, -0.25], [1e-3, 2]], np.float32))


def test_a_word_may_hold_spaces_and_look_like_numbers(tmp_path):
    path = tmp_path / "glove.txt"
    path.write_bytes(b"the 1 2\n. . . 3 4\nat name@domain.com 5 6\n1 2 7 8\n3 9 10\n")
    assert read(path)[0].words == ("the", ". . .", "at name@domain.com", "1 2", "3")


def test_trailing_spaces_and_tabs_between_are_read(tmp_path):
    path = tmp_path / "vectors.txt"
    path.write_bytes(b"2 2\nthe 1 2 \r\nof\t3\t4\n")
    same(read(path)[0], ("the", "of"), np.array([[1, 2], [3, 4]], np.float32))


def test_the_binary_form_is_read_with_and_without_newlines(tmp_path):
    rows = [struct.pack("<2f", *row) for row in ROWS.tolist()]
    for apart in (b"", b"\n"):
        path = tmp_path / "vectors.bin"
        path.write_bytes(b"4 2\n" + b"".join(w.encode() + b" " + r + apart for w, r in zip(WORDS, rows, strict=True)))
        same(read(path)[0])


def test_the_first_of_several_vectors_of_a_word_is_taken_and_said(tmp_path):
    path = tmp_path / "vectors.txt"
    path.write_text("a 1 2\nb 3 4\na 5 6\n")
    found, notes = read(path)
    same(found, ("a", "b"), np.array([[1, 2], [3, 4]], np.float32))
    assert notes == [f"{path}: 1 words stand there again; the first vector of each was taken."]


BROKEN = {
    "ragged": (b"a 1 2\nb 3\nc 5 6\n", r":2: expected a word and 2 numbers, found 2 fields"),
    "words for numbers": (b"a 1 2\nb x y\nc 5 6\n", r":2: 'b': expected 2 numbers after the word"),
    "nan": (b"a 1 2\nb nan 4\nc 5 6\n", r":2: 'b': a number is not finite"),
    "infinity": (b"a 1 2\nb inf 4\nc 5 6\n", r":2: 'b': a number is not finite"),
    "too large": (b"a 1 2\nb 1e39 4\nc 5 6\n", r":2: 'b': a number is not finite"),
    "not UTF-8": (b"a 1 2\n\xff\xfe 3 4\nc 5 6\n", r":2: the word is empty, too long or not UTF-8"),
    "no word": (b"a 1 2\n 3 4\nc 5 6\n", r":2: the word is empty"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_line_that_cannot_be_read_is_named_or_left_out(tmp_path, name):
    content, message = BROKEN[name]
    path = tmp_path / "vectors.txt"
    path.write_bytes(content)
    with pytest.raises(DataError, match=f"vectors.txt{message}.*or skip such words"):
        read(path)
    found, notes = read(path, bad="skip")
    same(found, ("a", "c"), np.array([[1, 2], [5, 6]], np.float32))
    assert notes[0].startswith(f"{path}: 1 words were left out; the first: {path}:2: ")


def test_a_first_line_that_says_other_sizes_is_refused(tmp_path):
    path = tmp_path / "vectors.txt"
    path.write_text("3 2\na 1 2\nb 3 4\n")
    with pytest.raises(DataError, match=r":1: the first line says 3 words, the file has 2"):
        read(path)
    path.write_text("2 300\na 1 2\nb 3 4\n")
    with pytest.raises(DataError, match=r":1: the first line says vectors of 300 numbers, those below have 2"):
        read(path)
    path.write_bytes(b"3 2\na " + struct.pack("<2f", 1, 2))
    with pytest.raises(DataError, match=r"the first line says 3 words, the file ends in word 2"):
        read(path)


def test_what_is_no_file_of_vectors_is_refused(tmp_path):
    path = tmp_path / "vectors.txt"
    for content, message in (
        (b"", "is empty"),
        (b"\n\n", "holds no vectors"),
        (b"hello\nworld\n", "expected a word and numbers"),
    ):
        path.write_bytes(content)
        with pytest.raises(DataError, match=message):
            read(path)


def test_words_of_choices_are_checked(tmp_path):
    path = tmp_path / "vectors.txt"
    path.write_text("a 1\n")
    for options, message in (
        ({"form": "bianry"}, "unknown form 'bianry'. Did you mean 'binary'"),
        ({"bad": "ignore"}, "unknown choice 'ignore'; expected one of error, skip"),
        ({"top": 0}, "top: expected a number of words from 1"),
    ):
        with pytest.raises(ConfigError, match=message):
            read(path, **options)


def test_a_word_that_a_form_cannot_hold_is_refused_before_anything_is_written(tmp_path):
    path = tmp_path / "vectors.bin"
    with pytest.raises(ConfigError, match="the word 'New York' does not fit into the binary form"):
        write_vectors(WordVectors(["New York"], np.ones((1, 2), np.float32)), path)
    with pytest.raises(ConfigError, match=r"expected a name that ends with one of \.txt"):
        write_vectors(WordVectors(["a"], np.ones((1, 2), np.float32)), tmp_path / "vectors")
    assert not list(tmp_path.iterdir())


def fasttext_file(*, words, rows, buckets, shortest, longest, quantised=False, version=12):
    """As FastText::saveModel writes it."""
    size = rows.shape[1]
    parts = [struct.pack("<ii", 793712314, version)]
    parts.append(struct.pack("<12id", size, 5, 5, 1, 5, 1, 2, 2, buckets, shortest, longest, 100, 1e-4))
    parts.append(struct.pack("<iiiqq", len(words), len(words), 0, 100, -1))
    parts += [word.encode() + b"\0" + struct.pack("<qb", 10, 0) for word in words]
    parts.append(struct.pack("<?qq", quantised, *rows.shape) + rows.astype("<f4").tobytes())
    return b"".join(parts)


def test_fasttext_gives_unseen_words_the_mean_of_their_pieces(tmp_path):
    words, buckets = ["</s>", "ab"], 7
    rows = np.random.default_rng(1).normal(size=(len(words) + buckets, 3)).astype(np.float32)
    path = tmp_path / "model.bin"
    path.write_bytes(fasttext_file(words=words, rows=rows, buckets=buckets, shortest=2, longest=3))
    found, _ = read(path)

    def pieces(*texts):
        return [len(words) + fnv(text.encode()) % buckets for text in texts]

    of_ab = [1, *pieces("<a", "<ab", "ab", "ab>", "b>")]
    np.testing.assert_allclose(found["ab"], rows[of_ab].astype(np.float64).mean(0), atol=1e-6)
    np.testing.assert_array_equal(found["</s>"], rows[0])
    unseen = pieces("<é", "<éb", "éb", "éb>", "b>")
    np.testing.assert_allclose(found["éb"], rows[unseen].astype(np.float64).mean(0), atol=1e-6)
    assert "éb" not in found


def test_a_model_with_ngrams_is_written_as_fasttext_does_and_gives_unseen_words_the_same_vectors(tmp_path):
    words, ngrams = ("ab", "Straße"), NGrams(buckets=7, shortest=2, longest=3)
    rows = np.random.default_rng(1).normal(size=(len(words) + 7, 3)).astype(np.float32)
    others = np.array([[1, 2, 3], [4, 5, 6]], np.float32)
    model = Subwords([word.encode() for word in words], [5, 3], rows, ngrams, others)
    made = WordVectors(words, np.stack([model.known(k, word) for k, word in enumerate(words)]), model)
    write_vectors(made, path := tmp_path / "model.bin")
    same(found := read(path)[0], words, made.matrix)
    np.testing.assert_array_equal(found["unseen"], made["unseen"])
    # The program's layout: magic, version, d, ..., buckets, least and most letters; the second table at the end.
    head = struct.unpack("<14i", path.read_bytes()[:56])
    assert (head[:3], head[10:13]) == ((793712314, 12, 3), (7, 2, 3))
    assert path.read_bytes().endswith(struct.pack("<?qq", False, 2, 3) + others.tobytes())


def test_the_hash_of_pieces_is_fnv_1a_over_signed_bytes():
    # FNV-1a of 32 bits for ASCII: the published test value of "foobar". Above 127 a byte counts as negative.
    assert fnv(b"foobar") == 0xBF9CF968
    value = 2166136261
    for byte in "é".encode():
        value = (value ^ (byte - 256)) * 16777619 % 2**32
    assert fnv("é".encode()) == value


def test_models_of_fasttext_that_cannot_be_read_are_refused(tmp_path):
    rows, path = np.ones((3, 2), np.float32), tmp_path / "model.bin"
    whole = fasttext_file(words=["ab"], rows=rows, buckets=2, shortest=2, longest=3)
    for content, message in (
        (whole[:-1], "ends before its vectors do"),
        (fasttext_file(words=["ab"], rows=rows, buckets=2, shortest=2, longest=3, quantised=True), "is quantised"),
        (fasttext_file(words=["ab"], rows=rows, buckets=2, shortest=2, longest=3, version=9), "of version 11 or 12"),
        (
            fasttext_file(words=["ab"], rows=rows, buckets=5, shortest=2, longest=3),
            r"expected 6 x 2 numbers, got 3 x 2",
        ),
    ):
        path.write_bytes(content)
        with pytest.raises(DataError, match=message):
            read(path)


def test_a_damaged_file_of_tensors_is_refused(tmp_path):
    path = tmp_path / "vectors.safetensors"
    write_vectors(WordVectors(WORDS, ROWS), path)
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(DataError, match="is no whole file of safetensors"):
        read(path)

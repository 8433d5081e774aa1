"""File formats: from a path to records, one at a time.

reading   `read`, `resolved_format`, `field` and the registry FORMATS
bad_rows  `on_error: stop | skip`
lines     physical lines, plain or gzip, bounded and strict
table     what CSV and TSV share
sentences what CoNLL columns and CoNLL-U share
items     what files that are a JSON list share
nested    fields inside of fields
encodings text that is not UTF-8
splits    the parts of a folder
shards    data in several files, here or in object storage
dealing   several files that several processes read, each its own
cursor    marks that lead to a row, without those before it
arrow_rows what Parquet, Arrow and saved datasets share
annotated what exports of annotation tools share
documents what folders of texts share
by_class  what folders of files by class share
csv tsv json jsonl excel parquet arrow datasets folders texts text parallel conll conllu ts tsf ucr sounds images
          kaldi sequences arrays arff fasta   one format each, and of tools for annotations prodigy doccano label_studio
          spacy brat, and of questions about texts squad; captions and coco of pictures

A new format is one file that makes a `Format`, and one line below.
"""

from __future__ import annotations

from recurra.data.formats.arff import ARFF
from recurra.data.formats.arrays import IDX, NUMPY
from recurra.data.formats.arrow import ARROW
from recurra.data.formats.bad_rows import ON_ERROR, BadRows, SkippedRows, StopAtBadRow
from recurra.data.formats.brat import BRAT
from recurra.data.formats.bvh import BVH
from recurra.data.formats.captions import CAPTIONS, COCO
from recurra.data.formats.conll import CONLL
from recurra.data.formats.conllu import CONLLU
from recurra.data.formats.csv import CSV
from recurra.data.formats.datasets import DATASETS
from recurra.data.formats.dealing import Exchange, agreed
from recurra.data.formats.doccano import DOCCANO
from recurra.data.formats.excel import EXCEL
from recurra.data.formats.fasta import FASTA
from recurra.data.formats.films import FILMS
from recurra.data.formats.folders import FOLDERS
from recurra.data.formats.format import Format, ReadOptions
from recurra.data.formats.images import IMAGES
from recurra.data.formats.json import JSON
from recurra.data.formats.jsonl import JSONL
from recurra.data.formats.kaldi import KALDI
from recurra.data.formats.label_studio import LABEL_STUDIO
from recurra.data.formats.lines import MAX_LINE_BYTES
from recurra.data.formats.parallel import PARALLEL
from recurra.data.formats.parquet import PARQUET
from recurra.data.formats.prodigy import PRODIGY
from recurra.data.formats.reading import (
    FORMATS,
    field,
    num_lines,
    read,
    read_as,
    recognised,
    resolved_format,
    spelt,
    splits_in,
)
from recurra.data.formats.sequences import SEQUENCES
from recurra.data.formats.shards import Shard, is_sharded, shards_of, signed, unsigned
from recurra.data.formats.sounds import SOUNDS
from recurra.data.formats.spacy import SPACY
from recurra.data.formats.squad import SQUAD
from recurra.data.formats.text import TEXT
from recurra.data.formats.texts import TEXTS
from recurra.data.formats.ts import TS
from recurra.data.formats.tsf import TSF
from recurra.data.formats.tsv import TSV
from recurra.data.formats.ucr import UCR

__all__ = [
    "FORMATS",
    "MAX_LINE_BYTES",
    "ON_ERROR",
    "BadRows",
    "Exchange",
    "Format",
    "ReadOptions",
    "Shard",
    "SkippedRows",
    "StopAtBadRow",
    "agreed",
    "field",
    "is_sharded",
    "num_lines",
    "read",
    "read_as",
    "recognised",
    "resolved_format",
    "shards_of",
    "signed",
    "spelt",
    "splits_in",
    "unsigned",
]

# Those that know a file by its content are asked in this order.
FORMATS.add("csv", CSV)
FORMATS.add("tsv", TSV)
FORMATS.add("prodigy", PRODIGY)
FORMATS.add("doccano", DOCCANO)
FORMATS.add("label_studio", LABEL_STUDIO)
FORMATS.add("spacy", SPACY)
FORMATS.add("squad", SQUAD)
FORMATS.add("coco", COCO)
FORMATS.add("json", JSON)
FORMATS.add("jsonl", JSONL)
FORMATS.add("excel", EXCEL)
FORMATS.add("parquet", PARQUET)
FORMATS.add("arrow", ARROW)
FORMATS.add("datasets", DATASETS)
FORMATS.add("brat", BRAT)
FORMATS.add("kaldi", KALDI)
FORMATS.add("captions", CAPTIONS)
FORMATS.add("folders", FOLDERS)
FORMATS.add("texts", TEXTS)
FORMATS.add("text", TEXT)
FORMATS.add("parallel", PARALLEL)
FORMATS.add("conll", CONLL)
FORMATS.add("conllu", CONLLU)
FORMATS.add("ts", TS)
FORMATS.add("tsf", TSF)
FORMATS.add("ucr", UCR)
FORMATS.add("sounds", SOUNDS)
FORMATS.add("images", IMAGES)
FORMATS.add("bvh", BVH)
FORMATS.add("films", FILMS)
FORMATS.add("sequences", SEQUENCES)
FORMATS.add("numpy", NUMPY)
FORMATS.add("idx", IDX)
FORMATS.add("arff", ARFF)
FORMATS.add("fasta", FASTA)

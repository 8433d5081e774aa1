"""The only place where data, model, loss, decoding and metrics meet. A new task is one folder and one line here.

A `TaskConfig` (what a config says) is fitted on training records and gives a task: a final class with the five verbs
example, collate, loss, predict, score. There is no base class.

contract         what the configuration of a task and a task must have, and the capabilities that it may have
classification   a text to its label or labels
translation      a text to another text
language_model   a text, token by token
dialogue         what was said last to the reply
response_selection   what was said last to a reply of training
tagging          a tag for each token, or spans of a text
music            chords, step by step
series_classification   a label of a series of numbers
forecasting      what follows a series of numbers
word_vectors     a vector for each word of a text
question_answering   a question about a text to the part of it that answers it
masked_lm        hidden pieces of a text
multiple_choice  a text and choices to the choice that fits
text_regression  a number for a text, or for two
autoencoding     a row to a short code, and back
text_autoencoding   a text to a short code, and back
transcription    a recording to what is said in it
captioning       a picture to a text that says what is seen in it
retrieval        pictures by texts, and texts by pictures
picture_text     a label of a picture and a text together
hub              what model hubs call each task
text             tokens and ids, for every task that reads text
bucketing        batches of examples of like lengths
columns          which column of a file is which
explanation      what can be looked into while a model answers
label_explanation   the same of a label
sizing           what init chooses by the size of the data
pieces           where a text that comes piece by piece may be cut
blank            texts without anything to read
options          a task as it answers with the options of `predict`, or while epochs are compared
"""

from __future__ import annotations

from recurra.base.answers import Answer, AnswerKind
from recurra.base.registry import Registry
from recurra.tasks.autoencoding import Autoencoding, AutoencodingConfig
from recurra.tasks.captioning import Captioning, CaptioningConfig
from recurra.tasks.classification.task import Classification, ClassificationConfig
from recurra.tasks.contract import (
    AnswersWide,
    BatchSampler,
    Calibrates,
    ChatOptions,
    Chats,
    ChecksRecords,
    ChoosesBySize,
    Coder,
    Codes,
    CodeWriter,
    Conforms,
    CutsRows,
    DecodesInCollate,
    DrawsCharts,
    DrawsMaps,
    Embeds,
    Example,
    Explains,
    Exports,
    FindsPictures,
    FitsModel,
    FitsThreshold,
    Generates,
    GenerationOptions,
    GivesVectors,
    Hears,
    JoinsOutputs,
    Judged,
    KeepsExamples,
    KeepsRows,
    LabelsRows,
    LeavesOut,
    LimitsSplits,
    LinearCodes,
    MeasuresLoss,
    MindsInputs,
    MovesModel,
    NamedByMethod,
    NamesFormat,
    NamesUnknown,
    Piece,
    Plays,
    ReadsInPieces,
    ReadsLetters,
    ReadsOn,
    ReadsOnce,
    ReadsPieces,
    ReadsSteps,
    Reply,
    RereadsRows,
    Row,
    SaysLabels,
    ScoresSteps,
    ScoresTokens,
    ShowsRecordings,
    SolvesWide,
    StreamingPredictor,
    Streams,
    SuggestedWord,
    Suggester,
    Suggests,
    TagsTokens,
    TakesLexicon,
    TakesOptions,
    Task,
    TaskConfig,
    TokenTags,
    TrainsItself,
    TriedWith,
    ValidatesFaster,
    WatchedSeries,
    WritesFromCodes,
    WritesSamples,
    loss_unit,
    splits_of,
)
from recurra.tasks.dialogue import CHAT_LM, Dialogue, DialogueConfig
from recurra.tasks.forecasting import Forecasting, ForecastingConfig
from recurra.tasks.language_model.plan import LanguageModelConfig
from recurra.tasks.language_model.task import LanguageModelling
from recurra.tasks.masked_lm import MaskedLM, MaskedLMConfig
from recurra.tasks.multiple_choice import MultipleChoice, MultipleChoiceConfig
from recurra.tasks.music import Music, MusicConfig
from recurra.tasks.picture_text import PictureTextClassification, PictureTextConfig
from recurra.tasks.question_answering import QuestionAnswering, QuestionAnsweringConfig
from recurra.tasks.response_selection import ResponseSelection, ResponseSelectionConfig
from recurra.tasks.retrieval import Retrieval, RetrievalConfig
from recurra.tasks.series_classification import SeriesClassification, SeriesClassificationConfig
from recurra.tasks.series_regression import SeriesRegression, SeriesRegressionConfig
from recurra.tasks.tagging.plan import TaggingConfig
from recurra.tasks.tagging.task import Tagging
from recurra.tasks.text_autoencoding import TextAutoencoding, TextAutoencodingConfig
from recurra.tasks.text_regression import TextRegression, TextRegressionConfig
from recurra.tasks.transcription import Transcription, TranscriptionConfig
from recurra.tasks.translation.plan import TranslationConfig
from recurra.tasks.translation.task import Translation
from recurra.tasks.word_vectors import WordVectorLearning, WordVectorsConfig

TASKS: Registry[type[TaskConfig]] = Registry("task", "recurra.tasks")
TASKS.add("classification", ClassificationConfig)
TASKS.add("translation", TranslationConfig)
TASKS.add("language_model", LanguageModelConfig)
TASKS.add("tagging", TaggingConfig)
TASKS.add("music", MusicConfig)
TASKS.add("series_classification", SeriesClassificationConfig)
TASKS.add("series_regression", SeriesRegressionConfig)
TASKS.add("forecasting", ForecastingConfig)
TASKS.add("word_vectors", WordVectorsConfig)
TASKS.add("question_answering", QuestionAnsweringConfig)
TASKS.add("masked_lm", MaskedLMConfig)
TASKS.add("multiple_choice", MultipleChoiceConfig)
TASKS.add("text_regression", TextRegressionConfig)
TASKS.add("autoencoding", AutoencodingConfig)
TASKS.add("text_autoencoding", TextAutoencodingConfig)
TASKS.add("transcription", TranscriptionConfig)
TASKS.add("captioning", CaptioningConfig)
TASKS.add("dialogue", DialogueConfig)
TASKS.add("response_selection", ResponseSelectionConfig)
TASKS.add("retrieval", RetrievalConfig)
TASKS.add("picture_text_classification", PictureTextConfig)
# What people call them; `recurra init` takes these words too.
TASKS.also(
    "classification", "classify", "classifier", "text_classification", "sentiment", "sentiment_analysis", "spam",
    "topic", "topics", "intent", "language_identification",
)  # fmt: skip
TASKS.also(
    "translation", "translate", "translator", "seq2seq", "sequence_to_sequence", "text_to_text", "summarization",
    "summarisation", "summary", "summarize", "headlines", "transliteration", "normalization", "g2p",
)  # fmt: skip
TASKS.also(
    "language_model", "lm", "language_modeling", "language_modelling", "generate", "generation", "text_generation"
)
TASKS.also(
    "tagging", "tag", "tagger", "ner", "pos", "named_entity_recognition", "part_of_speech", "token_classification",
    "chunking", "slots", "spans", "sequence_labeling", "sequence_labelling",
)  # fmt: skip
TASKS.also(
    "series_classification", "time_series_classification", "series", "sensors", "activity", "activity_recognition",
    "har", "sound", "audio", "sound_classification", "audio_classification", "keyword_spotting",
)  # fmt: skip
TASKS.also("series_regression", "regression", "time_series_regression", "regressor", "boxes", "bounding_boxes")
TASKS.also("forecasting", "forecast", "forecasts", "time_series", "timeseries", "time_series_forecasting", "demand")
TASKS.also(
    "word_vectors", "word2vec", "word_embeddings", "embeddings", "vectors", "skip_gram", "skipgram", "cbow",
    "glove", "fasttext",
)  # fmt: skip
TASKS.also(
    "question_answering", "qa", "squad", "reading_comprehension", "extractive_qa", "extractive_question_answering"
)
TASKS.also("masked_lm", "mlm", "bert", "masked_language_model", "fill_mask", "pretraining", "pre_training")
TASKS.also("multiple_choice", "choice", "choices", "swag", "race", "mcq")
TASKS.also("text_regression", "sts", "similarity", "semantic_similarity", "text_similarity", "rating", "ratings")
TASKS.also(
    "autoencoding", "autoencoder", "vae", "variational_autoencoder", "denoising", "denoising_autoencoder",
    "compression", "reconstruction", "reconstruct", "music_vae", "music_autoencoder",
)  # fmt: skip
TASKS.also("transcription", "speech", "asr", "speech_recognition", "speech_to_text", "transcribe", "ctc", "stt")
TASKS.also("captioning", "captions", "caption", "image_captioning", "image_to_text", "image_captions")
TASKS.also("retrieval", "image_retrieval", "image_search", "clip", "text_to_image_retrieval", "cross_modal")
TASKS.also(
    "text_autoencoding",
    "text_autoencoder",
    "sequence_autoencoder",
    "sa_lstm",
    "sequence_vae",
    "sentence_vae",
    "text_vae",
)
TASKS.also("dialogue", "dialog", "chat", "chatbot", "conversation", "conversations", "replies", "reply", *CHAT_LM)
TASKS.also("response_selection", "response_retrieval", "reply_selection", "faq", "next_utterance", "answer_selection")
TASKS.also("picture_text_classification", "visual_reasoning", "visual_entailment", "nlvr", "visual_question_answering")
TASKS.also("music", "midi", "chords", "notes", "abc")

__all__ = [
    "TASKS",
    "Answer",
    "AnswerKind",
    "AnswersWide",
    "Autoencoding",
    "AutoencodingConfig",
    "BatchSampler",
    "Calibrates",
    "Captioning",
    "CaptioningConfig",
    "ChatOptions",
    "Chats",
    "ChecksRecords",
    "ChoosesBySize",
    "Classification",
    "ClassificationConfig",
    "CodeWriter",
    "Coder",
    "Codes",
    "Conforms",
    "CutsRows",
    "DecodesInCollate",
    "Dialogue",
    "DialogueConfig",
    "DrawsCharts",
    "DrawsMaps",
    "Embeds",
    "Example",
    "Explains",
    "Exports",
    "FindsPictures",
    "FitsModel",
    "FitsThreshold",
    "Forecasting",
    "ForecastingConfig",
    "Generates",
    "GenerationOptions",
    "GivesVectors",
    "Hears",
    "JoinsOutputs",
    "Judged",
    "KeepsExamples",
    "KeepsRows",
    "LabelsRows",
    "LanguageModelConfig",
    "LanguageModelling",
    "LeavesOut",
    "LimitsSplits",
    "LinearCodes",
    "MaskedLM",
    "MaskedLMConfig",
    "MeasuresLoss",
    "MindsInputs",
    "MovesModel",
    "MultipleChoice",
    "MultipleChoiceConfig",
    "Music",
    "MusicConfig",
    "NamedByMethod",
    "NamesFormat",
    "NamesUnknown",
    "PictureTextClassification",
    "PictureTextConfig",
    "Piece",
    "Plays",
    "QuestionAnswering",
    "QuestionAnsweringConfig",
    "ReadsInPieces",
    "ReadsLetters",
    "ReadsOn",
    "ReadsOnce",
    "ReadsPieces",
    "ReadsSteps",
    "Reply",
    "RereadsRows",
    "ResponseSelection",
    "ResponseSelectionConfig",
    "Retrieval",
    "RetrievalConfig",
    "Row",
    "SaysLabels",
    "ScoresSteps",
    "ScoresTokens",
    "SeriesClassification",
    "SeriesClassificationConfig",
    "SeriesRegression",
    "SeriesRegressionConfig",
    "ShowsRecordings",
    "SolvesWide",
    "StreamingPredictor",
    "Streams",
    "SuggestedWord",
    "Suggester",
    "Suggests",
    "Tagging",
    "TaggingConfig",
    "TagsTokens",
    "TakesLexicon",
    "TakesOptions",
    "Task",
    "TaskConfig",
    "TextAutoencoding",
    "TextAutoencodingConfig",
    "TextRegression",
    "TextRegressionConfig",
    "TokenTags",
    "TrainsItself",
    "Transcription",
    "TranscriptionConfig",
    "Translation",
    "TranslationConfig",
    "TriedWith",
    "ValidatesFaster",
    "WatchedSeries",
    "WordVectorLearning",
    "WordVectorsConfig",
    "WritesFromCodes",
    "WritesSamples",
    "loss_unit",
    "splits_of",
]

"""What model hubs call a task: the words of Hugging Face's `pipeline_tag` (huggingface.co/tasks).

A task that none of them fits has none, and its card says only its own name.
"""

from __future__ import annotations

from collections.abc import Mapping

PIPELINE_TAGS: Mapping[str, str] = {
    "classification": "text-classification",
    "translation": "translation",
    "language_model": "text-generation",
    "tagging": "token-classification",
    "forecasting": "time-series-forecasting",
    "word_vectors": "feature-extraction",
    "question_answering": "question-answering",
    "masked_lm": "fill-mask",
    "multiple_choice": "multiple-choice",
    "autoencoding": "feature-extraction",
    "text_autoencoding": "feature-extraction",
    "transcription": "automatic-speech-recognition",
    "captioning": "image-to-text",
    "dialogue": "text-generation",
}

"""What other libraries call our options: who writes one of these is led to ours.

Names of PyTorch, Keras, Hugging Face's TrainingArguments and configs, Lightning, fairseq and OpenNMT, as their
documentation has them.
"""

from __future__ import annotations

from collections.abc import Mapping

# Ours -> theirs.
_THEIRS = {
    "batch_rows": "batch_size train_batch_size per_device_train_batch_size bsz minibatch_size",
    "batch_tokens": "max_tokens max_tokens_per_batch",
    "beam": "beam_size num_beams beam_width",
    "beta1": "adam_beta1",
    "beta2": "adam_beta2",
    "bidirectional": "bidir brnn birnn",
    "bptt": "bptt_len seq_len sequence_length",
    "character_embedding_size": "char_embedding_size char_embedding_dim char_emb_size char_emb_dim char_embed_dim",
    "character_size": "char_hidden_size char_hidden_dim char_size char_lstm_size num_filters",
    "cell": "rnn_type cell_type rnn rnn_cell unit_type",
    "checkpoint_every": "save_steps save_every save_interval checkpoint_interval",
    "class_weights": "class_weight pos_weight",
    "clipping": "clip grad_clip gradient_clip gradient_clipping gradient_clip_val clipnorm clip_norm",
    "copying": "copy copy_attn copy_attention pointer pointer_generator copy_mechanism",
    "coverage": "coverage_attn",
    "dev": "val valid validation eval dev_file valid_file validation_file eval_file val_file",
    "dropout": "dropout_rate drop_rate dropout_prob dropout_p hidden_dropout_prob rnn_dropout drop keep_prob",
    "embedding_size": "embedding_dim embed_dim emb_dim emb_size embed_size embeddings_size word_vec_size output_dim",
    "epochs": "num_epochs num_train_epochs max_epochs n_epochs nb_epoch max_epoch",
    "eps": "epsilon adam_epsilon",
    "hidden_size": "hidden_dim hidden_units num_hidden n_hidden hidden units num_units rnn_size size d_model",
    "init_vectors": "pretrained_embeddings embeddings_path word_vectors glove pretrained_vectors",
    "init_from": "pretrained pretrained_model model_name_or_path from_pretrained",
    "input_feeding": "input_feed",
    "label": "label_column labels_column target_column y label_col",
    "label_smoothing": "label_smoothing_factor smoothing",
    "lr": "learning_rate base_lr init_lr initial_lr alpha_lr",
    "max_length": "max_len maxlen max_seq_length max_seq_len max_sequence_length truncate",
    "max_norm": "max_grad_norm",
    "max_vocabulary": "max_vocab_size max_vocab vocab_limit num_words max_features",
    "min_count": "min_freq min_frequency",
    "model": "network architecture arch",
    "num_heads": "n_heads nhead num_attention_heads heads",
    "num_layers": "n_layers layers nlayers num_hidden_layers depth num_rnn_layers",
    "optimizer": "optim optimiser opt",
    "output": "crf use_crf",
    "patience": "early_stopping early_stopping_patience early_stop",
    "pooling": "pool pooling_type pooling_mode",
    "reverse": "reverse_source",
    "schedule": "scheduler lr_scheduler lr_schedule lr_scheduler_type",
    "seed": "random_seed random_state",
    "select": "metric_for_best_model monitor",
    "test": "test_file test_path",
    "text": "text_column text_col sentence input_column",
    "tie": "tie_weights tied_weights tie_embeddings tie_word_embeddings share_embeddings",
    "tied": "tie_weights tied_weights tie_embeddings tie_word_embeddings weight_tying",
    "tokenizer": "tokenization tokeniser",
    "train": "train_file training_data train_path data_path",
    "warmup": "warmup_steps warmup_ratio num_warmup_steps",
    "weight_decay": "l2_penalty wd decay",
}
# A component -> what stands in front of its options in a flat config: `decoder_cell`, `enc_layers`.
# The vectors of tokens are part of an encoder elsewhere, and of the inputs here.
_IN_FRONT = {
    "encoder": ("encoder", "enc", "source", "src"),
    "inputs": ("inputs", "encoder", "enc", "source", "src"),
    "decoder": ("decoder", "dec", "target", "tgt", "trg"),
}
# After a component's name, its word: `attention_type`.
KIND = ("type", "name", "kind")


def ours(key: str) -> tuple[str, ...]:
    """Our names for what another library calls `key`; none where it has no such name."""
    return OURS.get(_plain(key), ())


def _plain(key: str) -> str:
    return key.lower().replace("-", "_")


def _by_theirs() -> dict[str, tuple[str, ...]]:
    pairs = [(theirs, ours) for ours, names in _THEIRS.items() for theirs in names.split()]
    return {theirs: tuple(ours for name, ours in pairs if name == theirs) for theirs, _ in pairs}


# Theirs -> ours; one name may mean either of two options, of different components.
OURS: Mapping[str, tuple[str, ...]] = _by_theirs()


def rests(key: str, component: str) -> list[str]:
    """What `key` is without the name of a component in front of it; none where it has another one's, or none."""
    plain, prefixes = _plain(key), _IN_FRONT.get(component, (component,))
    return [plain.removeprefix(f"{prefix}_") for prefix in prefixes if plain.startswith(f"{prefix}_")]


def is_prefixed(key: str) -> bool:
    """Whether it begins with the name of a side of a model."""
    return any(rests(key, component) for component in _IN_FRONT)

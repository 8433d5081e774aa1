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
    "cell": "rnn_type cell_type rnn rnn_cell unit_type",
    "checkpoint_every": "save_steps save_every save_interval checkpoint_interval",
    "class_weights": "class_weight pos_weight",
    "clipping": "clip grad_clip gradient_clip gradient_clipping gradient_clip_val clipnorm clip_norm",
    "dev": "val valid validation eval dev_file valid_file validation_file eval_file val_file",
    "dropout": "dropout_rate drop_rate dropout_prob dropout_p hidden_dropout_prob rnn_dropout drop keep_prob",
    "embedding_size": "embedding_dim embed_dim emb_dim emb_size embed_size embeddings_size word_vec_size output_dim",
    "epochs": "num_epochs num_train_epochs max_epochs n_epochs nb_epoch max_epoch",
    "eps": "epsilon adam_epsilon",
    "hidden_size": "hidden_dim hidden_units num_hidden n_hidden hidden units num_units rnn_size d_model",
    "init_from": "pretrained pretrained_model model_name_or_path from_pretrained",
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
    "patience": "early_stopping early_stopping_patience early_stop",
    "schedule": "scheduler lr_scheduler lr_schedule lr_scheduler_type",
    "seed": "random_seed random_state",
    "select": "metric_for_best_model monitor",
    "test": "test_file test_path",
    "text": "text_column text_col sentence input_column",
    "tie": "tie_weights tied_weights tie_embeddings tie_word_embeddings share_embeddings",
    "tokenizer": "tokenization tokeniser",
    "train": "train_file training_data train_path data_path",
    "warmup": "warmup_steps warmup_ratio num_warmup_steps",
    "weight_decay": "l2_penalty wd decay",
}
OURS: Mapping[str, str] = {name: ours for ours, names in _THEIRS.items() for name in names.split()}

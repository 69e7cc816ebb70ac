"""Models on disk, on a tiny Qwen3 that the test builds and saves itself."""

import json
import shutil

import numpy as np
import pytest

from rarec.embed import SentenceTransformerEmbedder, qwen3_embedder
from rarec.errors import EmbedderError, InputError
from rarec.testing import EmbedderContract

TEXTS = [
    "a quiet film about the sea",
    "two brothers dig for gold and find a door",
    "rain",
    "a comedy in which one day starts over and over and over and over again",
]
END = "<|endoftext|>"


def save_tokenizer(folder, *, appends_end=True):
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=[END],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(TEXTS * 3, trainer)
    if appends_end:
        tokenizer.post_processor = processors.TemplateProcessing(
            single=f"$A {END}", special_tokens=[(END, tokenizer.token_to_id(END))]
        )
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token=END, eos_token=END, padding_side="left", model_max_length=64
    )
    fast.save_pretrained(folder)


def write_json(path, value):
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(value))


def build(folder, *, pooling="lasttoken"):
    import torch
    from transformers import Qwen3Config, Qwen3Model

    config = Qwen3Config(
        vocab_size=400, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, head_dim=8, max_position_embeddings=64, tie_word_embeddings=True,
    )  # fmt: skip
    with torch.random.fork_rng():
        torch.manual_seed(7)
        model = Qwen3Model(config)
        for parameter in model.parameters():
            if parameter.dim() > 1:  # the default start is so small that all texts look alike
                torch.nn.init.normal_(parameter, std=0.3)
    model.save_pretrained(folder)
    save_tokenizer(folder)
    kinds = (("", "Transformer"), ("1_Pooling", "Pooling"), ("2_Normalize", "Normalize"))
    modules = [
        {"idx": i, "name": str(i), "path": path, "type": f"sentence_transformers.models.{kind}"}
        for i, (path, kind) in enumerate(kinds)
    ]
    write_json(folder / "modules.json", modules)
    write_json(
        folder / "1_Pooling" / "config.json",
        {"word_embedding_dimension": 32, f"pooling_mode_{pooling}": True, "include_prompt": True},
    )
    write_json(
        folder / "config_sentence_transformers.json",
        {"prompts": {"query": "Instruct: saved\nQuery:", "document": ""}, "default_prompt_name": None},
    )
    write_json(folder / "sentence_bert_config.json", {"max_seq_length": 64, "do_lower_case": False})
    return folder


@pytest.fixture(scope="session")
def model(tmp_path_factory):
    return build(tmp_path_factory.mktemp("tiny-qwen3"))


@pytest.fixture
def copied(model, tmp_path):
    return shutil.copytree(model, tmp_path / "copy")


def by_hand(folder, text):
    """The last token's state of one text alone, no padding, straight from transformers."""
    import torch
    from transformers import AutoModel, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    network = AutoModel.from_pretrained(folder, local_files_only=True).eval()
    tokens = tokenizer(text)["input_ids"]
    assert tokens[-1] == tokenizer.convert_tokens_to_ids(END)
    with torch.no_grad():
        state = network(input_ids=torch.tensor([tokens])).last_hidden_state[0, -1].numpy()
    return state / np.linalg.norm(state)


class TestTinyQwen3(EmbedderContract):
    @pytest.fixture(autouse=True)
    def folder(self, model):
        self.embedder = qwen3_embedder(model, batch_size=4, threads=1)

    def make(self):
        return self.embedder


def test_documents_are_the_last_tokens_state_whatever_the_padding(model):
    rows = qwen3_embedder(model, batch_size=4).embed(TEXTS)
    one_by_one = qwen3_embedder(model, batch_size=1).embed(TEXTS)
    np.testing.assert_allclose(rows, one_by_one, atol=1e-5)
    for row, text in zip(rows, TEXTS, strict=True):
        np.testing.assert_allclose(row, by_hand(model, text), atol=1e-5)


def test_queries_carry_the_instruction(model):
    embedder = qwen3_embedder(model, task="find a film")
    (query,) = embedder.embed(TEXTS[:1], kind="query")
    np.testing.assert_allclose(query, by_hand(model, f"Instruct: find a film\nQuery:{TEXTS[0]}"), atol=1e-5)
    assert query @ embedder.embed(TEXTS[:1])[0] < 0.999


def test_without_a_prompt_the_models_own_is_taken(model):
    (query,) = SentenceTransformerEmbedder(model).embed(TEXTS[:1], kind="query")
    np.testing.assert_allclose(query, by_hand(model, f"Instruct: saved\nQuery:{TEXTS[0]}"), atol=1e-5)


def test_shortened_vectors_are_of_length_one(model):
    short = qwen3_embedder(model, truncate_dim=8)
    rows = short.embed(TEXTS)
    assert short.dimension == 8
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-6)
    full = qwen3_embedder(model).embed(TEXTS)[:, :8]
    np.testing.assert_allclose(rows, full / np.linalg.norm(full, axis=1, keepdims=True), atol=1e-5)


def test_the_name_tells_apart_models_and_settings(model, copied):
    def name(folder, **options):
        return qwen3_embedder(folder, **options).name.partition("@")[2]

    same = name(copied)
    assert same == name(model)
    assert len({same, name(model, task="other"), name(model, truncate_dim=8)}) == 3
    assert name(model, batch_size=3) == same
    path = copied / "model.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    assert name(copied) != same
    path.write_bytes((model / "model.safetensors").read_bytes())
    write_json(copied / "1_Pooling" / "config.json", {"word_embedding_dimension": 32, "pooling_mode_mean_tokens": True})
    assert name(copied) != same


def test_a_tokenizer_that_does_not_close_the_text_is_refused(copied):
    save_tokenizer(copied, appends_end=False)
    with pytest.raises(EmbedderError, match="does not append"):
        qwen3_embedder(copied).embed(TEXTS)


def test_another_pooling_is_refused(tmp_path):
    build(tmp_path, pooling="mean_tokens")
    with pytest.raises(EmbedderError, match="lasttoken"):
        qwen3_embedder(tmp_path).embed(TEXTS)


def test_pickled_weights_are_refused(copied):
    weights = copied / "model.safetensors"
    weights.rename(copied / "pytorch_model.bin")
    with pytest.raises(EmbedderError, match="safetensors"):
        SentenceTransformerEmbedder(copied).embed(TEXTS)


def test_a_pickle_in_a_part_of_the_model_is_refused(copied):
    (copied / "1_Pooling" / "pytorch_model.bin").write_bytes(b"anything")
    with pytest.raises(EmbedderError, match="is a pickle"):
        SentenceTransformerEmbedder(copied).embed(TEXTS)


def test_classes_of_others_are_refused(copied):
    modules = json.loads((copied / "modules.json").read_text())
    modules[0]["type"] = "os.path.Thing"
    write_json(copied / "modules.json", modules)
    with pytest.raises(EmbedderError, match=r"os\.path\.Thing"):
        SentenceTransformerEmbedder(copied).name  # noqa: B018


@pytest.mark.parametrize("name", ["modules.json", "config.json", "model.safetensors", "tokenizer.json"])
def test_damaged_files_are_named(copied, name):
    (copied / name).write_bytes(b"{")
    with pytest.raises(EmbedderError, match="copy"):
        SentenceTransformerEmbedder(copied).embed(TEXTS)


def test_nothing_is_downloaded_unasked(monkeypatch, tmp_path):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(EmbedderError, match="download=True"):
        SentenceTransformerEmbedder("nobody/no-such-model").embed(TEXTS)
    with pytest.raises(EmbedderError, match="there is no folder"):
        SentenceTransformerEmbedder("./no-such-folder").embed(TEXTS)


def test_bad_options():
    with pytest.raises(InputError, match="truncate_dim"):
        SentenceTransformerEmbedder("x", truncate_dim=0)

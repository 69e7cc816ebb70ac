"""The packaged model: the right weights, in silence, and no network."""

import subprocess
import sys

import numpy as np
import pytest

from rarec.embed import MiniLMEmbedder
from rarec.embed.minilm import WEIGHTS_SHA256, check_weights
from rarec.errors import EmbedderError, InputError


@pytest.fixture(scope="module")
def minilm():
    return MiniLMEmbedder(threads=1, batch_size=4)


def test_meaning_is_closer_than_words(minilm):
    query, near, far = minilm.embed(
        ["a funny film about time that repeats", "comedy in which one day starts over and over", "wheat prices rose"]
    )
    assert query @ near > query @ far + 0.2


def test_a_text_ends_at_256_tokens(minilm):
    words = "sea " * 254  # and two special tokens
    same, longer = minilm.embed([words, words + "volcano volcano volcano"])
    np.testing.assert_allclose(same, longer, atol=1e-5)
    shorter, other = minilm.embed(["sea " * 250, "sea " * 250 + "volcano volcano volcano"])
    assert shorter @ other < 0.999


def test_the_setting_of_torch_is_restored(minilm):
    import torch

    before = torch.get_num_threads()
    minilm.embed(["x"])
    assert torch.get_num_threads() == before


def test_it_is_silent_and_warns_of_nothing():
    code = (
        "import logging; logging.basicConfig(level=logging.WARNING)\n"
        "from rarec.embed import MiniLMEmbedder\n"
        "MiniLMEmbedder().embed(['one', 'two'])\n"
    )
    ran = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")


def test_other_weights_are_refused_with_both_hashes(tmp_path):
    path = tmp_path / "model.safetensors"
    path.write_bytes(b"other")
    with pytest.raises(EmbedderError) as caught:
        check_weights(path)
    for part in (WEIGHTS_SHA256, "d9298a10d1b0735837dc4bd85dac641b0f3cef27a47e5d53a54f2f3f5b2fcffa", "pip install"):
        assert part in str(caught.value)
    with pytest.raises(EmbedderError, match="cannot read"):
        check_weights(tmp_path / "absent")


def test_bad_options():
    with pytest.raises(InputError, match="batch_size"):
        MiniLMEmbedder(batch_size=0)
    with pytest.raises(InputError, match="threads"):
        MiniLMEmbedder(threads=0)

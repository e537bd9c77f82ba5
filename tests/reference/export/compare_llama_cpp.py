"""GGUF files of `radgpt merge` in llama.cpp: ids against sentencepiece, logits and greedy answers
against PEFT's merged model. llama-cpp-python is compiled when it is installed, which takes minutes,
so docker/install_dependencies.sh leaves it out:
  pip install --no-deps --target third_party/reference llama-cpp-python==0.3.36 diskcache==5.6.3"""

import sys

import numpy as np
import torch
from sentencepiece import SentencePieceProcessor

from exports import TEXTS, prompt_ids, require_close, with_fixtures

import baichuan  # of the folder above, which exports.py adds

try:
    import llama_cpp
except ImportError:
    print("skipped: no llama-cpp-python")
    sys.exit(0)

# Roundings of weights and of what is multiplied by them add up as the root of their number, seven
# products in each of 40 layers: 2^-8 each in bf16, some 1 % in q8_0.
TOLERANCES = {"fp32": 1e-5, "bf16": 0.06, "q8_0": 0.15}
FP32 = 0  # of keys and values, which llama.cpp else keeps in fp16


def load(path):
    return llama_cpp.Llama(str(path), n_ctx=256, n_threads=1, logits_all=True, verbose=False,
                           type_k=FP32, type_v=FP32)


def logits(model, ids):
    model.reset()
    model.eval(ids)
    return torch.from_numpy(np.array(model.scores[:len(ids)]))


def check_ids(model, pieces, texts):
    for text in texts:
        ids = pieces.encode(text)
        assert model.tokenize(text.encode(), add_bos=False, special=False) == ids, text
        # The binding leaves out pieces of more than 32 bytes.
        if all(len(piece.encode()) <= 32 for piece in pieces.id_to_piece(ids)):
            assert model.detokenize(ids).decode() == text, text
    text = TEXTS[0]
    chat = f"<reserved_106>{text}<reserved_107>".encode()
    assert model.tokenize(chat, add_bos=False, special=True) == prompt_ids(pieces, text)
    print(f"  {len(texts)} texts: the ids of sentencepiece")


def check(fixture, name):
    pieces = SentencePieceProcessor(model_file=str(fixture.base / "tokenizer.model"))
    for kind, tolerance in TOLERANCES.items():
        path = fixture.merge(kind, "--gguf", "--type", kind) / f"model-{kind}.gguf"
        model = load(path)
        if kind == "fp32":
            check_ids(model, pieces, fixture.texts)
        for text in TEXTS[:4]:
            ids = prompt_ids(pieces, text)
            with torch.no_grad():
                expected = fixture.merged(torch.tensor([ids])).logits[0]
            require_close(logits(model, ids), expected, tolerance, kind)
    ids = prompt_ids(pieces, TEXTS[0])
    model = load(fixture.folder / "fp32" / "model-fp32.gguf")
    answer = []
    for token in model.generate(ids, temp=0.0, repeat_penalty=1.0):
        answer.append(token)
        if len(answer) == 12 or token in (2, 195, 196):
            break
    greedy = baichuan.generate(fixture.merged, ids, 12, {2, 195, 196}, cached=False)
    assert answer[:len(greedy)] == greedy, (answer, greedy)


with_fixtures(check, ["rope", "rope_32_layers", "alibi_40_layers"])

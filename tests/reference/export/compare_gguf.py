"""GGUF files of `radgpt merge` read by gguf's own reader: metadata, and every tensor against PEFT's
merged model as llama.cpp wants it; q8_0 bit for bit as gguf quantises."""

import gguf
import numpy as np
from gguf import GGMLQuantizationType as Type
from sentencepiece import SentencePieceProcessor

from exports import with_fixtures

TYPES = {"fp32": Type.F32, "fp16": Type.F16, "bf16": Type.BF16, "q8_0": Type.Q8_0}
# Largest difference to the merged weights, relative to the tensor's largest number: PEFT and
# libradgpt add the same fp32 products in another order; then one rounding, or half a step of 1/127
# whose size is rounded to fp16.
TOLERANCES = {"fp32": 1e-6, "fp16": 2**-11, "bf16": 2**-8, "q8_0": 1 / 254 + 2**-11}


def permuted(rows, heads):
    """As convert_hf_to_gguf.py of llama.cpp orders rows of q and k."""
    half = len(rows) // heads // 2
    return rows.reshape(heads, 2, half, -1).swapaxes(1, 2).reshape(rows.shape)


def expected_tensors(model):
    heads = model.config["num_attention_heads"]
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.BAICHUAN, model.config["num_hidden_layers"])
    found = {}
    for name, values in model.state_dict().items():
        values = values.numpy()
        if name == "lm_head.weight":
            values = values / np.linalg.norm(values, axis=1, keepdims=True)
        if "W_pack" in name:
            q, k, v = np.split(values, 3)
            block = "blk." + name.split(".")[2]
            found |= {f"{block}.attn_q.weight": permuted(q, heads),
                      f"{block}.attn_k.weight": permuted(k, heads), f"{block}.attn_v.weight": v}
        else:
            found[names.get_name(name, (".weight",))] = values
    return found


def check_metadata(fields, fixture, name, kind):
    size = fixture.merged.config
    architecture = "llama" if name == "rope" else "baichuan"
    pieces = SentencePieceProcessor(model_file=str(fixture.base / "tokenizer.model"))
    expected = {
        "general.architecture": architecture,
        "general.file_type": int(gguf.LlamaFileType[
            {"fp32": "ALL_F32", "fp16": "MOSTLY_F16", "bf16": "MOSTLY_BF16",
             "q8_0": "MOSTLY_Q8_0"}[kind]]),
        "general.quantization_version": 2,
        f"{architecture}.block_count": size["num_hidden_layers"],
        f"{architecture}.context_length": size["model_max_length"],
        f"{architecture}.embedding_length": size["hidden_size"],
        f"{architecture}.feed_forward_length": size["intermediate_size"],
        f"{architecture}.attention.head_count": size["num_attention_heads"],
        f"{architecture}.attention.head_count_kv": size["num_attention_heads"],
        f"{architecture}.rope.dimension_count":
            size["hidden_size"] // size["num_attention_heads"],
        f"{architecture}.rope.freq_base": 10000.0,
        f"{architecture}.vocab_size": pieces.vocab_size(),
        "tokenizer.ggml.model": "llama",
        "tokenizer.ggml.bos_token_id": 1, "tokenizer.ggml.eos_token_id": 2,
        "tokenizer.ggml.unknown_token_id": 0, "tokenizer.ggml.padding_token_id": 0,
        "tokenizer.ggml.add_bos_token": False, "tokenizer.ggml.add_eos_token": False,
        "tokenizer.ggml.add_space_prefix": False,
    }
    for key, value in expected.items():
        assert fields[key].contents() == value, key
    epsilon = fields[f"{architecture}.attention.layer_norm_rms_epsilon"].contents()
    assert epsilon == np.float32(size["rms_norm_eps"])
    assert "<reserved_106>" in fields["tokenizer.chat_template"].contents()
    count = pieces.vocab_size()
    assert fields["tokenizer.ggml.tokens"].contents() == [
        pieces.id_to_piece(i) for i in range(count)]
    assert fields["tokenizer.ggml.scores"].contents() == [
        pieces.get_score(i) for i in range(count)]
    types = fields["tokenizer.ggml.token_type"].contents()
    assert types[:3] == [gguf.TokenType.UNKNOWN] + 2 * [gguf.TokenType.CONTROL]
    assert types[3:1089] == 1086 * [gguf.TokenType.USER_DEFINED]
    assert types[1089:1345] == 256 * [gguf.TokenType.BYTE]
    assert set(types[1345:]) == {gguf.TokenType.NORMAL}


def check_tensors(reader, expected, kind):
    assert {tensor.name for tensor in reader.tensors} == set(expected)
    worst = 0.0
    for tensor in reader.tensors:
        values = expected[tensor.name]
        wanted = Type.F32 if values.ndim == 1 else TYPES[kind]
        assert tensor.tensor_type == wanted, tensor.name
        assert tensor.data_offset % 32 == 0, tensor.name
        assert tensor.shape.tolist() == list(values.shape[::-1]), tensor.name
        got = gguf.dequantize(tensor.data, tensor.tensor_type).reshape(values.shape)
        error = np.abs(got - values).max() / np.abs(values).max()
        assert error <= TOLERANCES["fp32" if values.ndim == 1 else kind], (tensor.name, error)
        worst = max(worst, float(error))
    print(f"  {kind}: {len(reader.tensors)} tensors, largest difference {worst:.1e}")


def check_bits(fixture, exact):
    """What fp32 holds, encoded by gguf, is what the other files hold."""
    for kind in ("fp16", "bf16", "q8_0"):
        file = gguf.GGUFReader(fixture.folder / kind / f"model-{kind}.gguf")
        for tensor in file.tensors:
            source = exact[tensor.name]
            wanted = gguf.quantize(source, tensor.tensor_type)
            assert tensor.data.tobytes() == wanted.tobytes(), (kind, tensor.name)
    print("  fp16, bf16, q8_0: the bits of gguf")


def check(fixture, name):
    expected = expected_tensors(fixture.merged)
    for kind in TYPES:
        fixture.merge(kind, "--gguf", "--type", kind)
        reader = gguf.GGUFReader(fixture.folder / kind / f"model-{kind}.gguf")
        check_metadata(reader.fields, fixture, name, kind)
        check_tensors(reader, expected, kind)
        if kind == "fp32":
            exact = {t.name: np.array(t.data).reshape(t.shape[::-1]) for t in reader.tensors}
    check_bits(fixture, exact)


with_fixtures(check, ["rope", "rope_32_layers", "alibi_40_layers"])

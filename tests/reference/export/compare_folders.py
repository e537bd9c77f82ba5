"""Folders of `radgpt merge` in Baichuan2's layout and in LLaMA's: logits against PEFT's merged
model, ids against sentencepiece, chat prompts against the rule."""

import json

import torch
import transformers
from sentencepiece import SentencePieceProcessor

from exports import TEXTS, prompt_ids, require_close, with_fixtures

import baichuan  # of the folder above, which exports.py adds


def logits(model, ids):
    with torch.no_grad():
        return model(torch.tensor([ids])).logits[0]


def check_tokenizer(folder, pieces, texts):
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    for text in texts:
        ids = pieces.encode(text)
        assert tokenizer(text)["input_ids"] == ids, text
        assert tokenizer.decode(ids) == pieces.decode(ids) == text, text
    print(f"  {len(texts)} texts: the ids of sentencepiece")
    user, assistant, system = (dict(role=role, content=text) for role, text in [
        ("user", TEXTS[0]), ("assistant", TEXTS[1]), ("system", "你是放射科医生。")])
    content = [pieces.encode(m["content"]) for m in (user, assistant, system)]
    # tokenizer_golden.json has the same four shapes with the ids of the true tokenizer.
    for messages, ids in [
            ([user], [195, *content[0], 196]),
            ([system, user], [*content[2], 195, *content[0], 196]),
            ([user, assistant, user],
             [195, *content[0], 196, *content[1], 195, *content[0], 196]),
            ([user, assistant], [195, *content[0], 196, *content[1]])]:
        got = tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=True)
        assert list(got["input_ids"] if hasattr(got, "keys") else got) == ids, messages
    try:
        tokenizer.apply_chat_template([user, system], tokenize=False)
        raise AssertionError("a system message in second place was taken")
    except Exception as error:
        assert "first message" in str(error), error


def check_llama(folder, expected, prompts):
    model, report = transformers.AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.float32, output_loading_info=True)
    assert type(model) is transformers.LlamaForCausalLM
    assert not any(report.get(kind) for kind in
                   ("missing_keys", "unexpected_keys", "mismatched_keys")), report
    for ids in prompts:
        require_close(logits(model, ids), logits(expected, ids), 1e-4, folder.name)
    generation = model.generation_config
    assert (generation.do_sample, generation.top_k, generation.temperature) == (True, 5, 0.3)
    assert generation.eos_token_id == 2
    ids = torch.tensor([prompts[0]])
    new = model.generate(ids, attention_mask=torch.ones_like(ids), do_sample=False,
                         repetition_penalty=1.0, max_new_tokens=12, eos_token_id=[2, 195, 196])
    greedy = baichuan.generate(expected, prompts[0], 12, {2, 195, 196}, cached=False)
    assert new[0, len(prompts[0]):len(prompts[0]) + len(greedy)].tolist() == greedy


def check(fixture, name):
    pieces = SentencePieceProcessor(model_file=str(fixture.base / "tokenizer.model"))
    prompts = [prompt_ids(pieces, text) for text in TEXTS[:4]]
    merged = fixture.merge("merged", "--max-shard-size", "300KB")
    assert len(list(merged.glob("model-*.safetensors"))) > 1
    for ids in prompts:
        require_close(logits(baichuan.load(merged), ids), logits(fixture.merged, ids), 1e-4,
                      "merged")
    check_tokenizer(merged, pieces, fixture.texts)
    if "alibi" in name:
        return
    check_llama(fixture.merge("llama", "--llama"), fixture.merged, prompts)
    check_llama(fixture.merge("llama-of-base", "--llama", "--max-shard-size", "500KB",
                              adapter=False), baichuan.load(fixture.base), prompts)
    check_tokenizer(fixture.folder / "llama", pieces, fixture.texts)
    half = fixture.merge("half", "--llama", "--type", "fp16")
    assert json.loads((half / "config.json").read_text())["torch_dtype"] == "float16"


with_fixtures(check, ["rope", "alibi_40_layers"])

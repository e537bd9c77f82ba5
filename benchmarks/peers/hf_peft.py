"""Trains a LoRA adapter with transformers and peft as their users do, on given examples.

hf_peft.py EXAMPLES [--limit N]: EXAMPLES is what benchmarks/training/train_step wrote, one
{"ids": [...], "targets": [...]} a line. Batches of 8 examples in random order, each padded to its
longest (the Trainer's usual dynamic padding), bf16, one optimizer step a batch. The model is
transformers' LLaMA at the sizes of the benchmark, since transformers has no Baichuan2: the same
products, with q, k, v as three linears instead of one, and without the head's normalisation.
Needs torch, transformers and peft.
"""
import argparse
import json
import random
import resource
import time

import torch
from peft import LoraConfig, get_peft_model
from transformers import LlamaConfig, LlamaForCausalLM


def read_examples(path, limit):
    with open(path) as lines:
        examples = [json.loads(line) for line in lines]
    random.Random(0).shuffle(examples)
    return examples[:limit]


def collate(examples):
    longest = max(len(example["ids"]) for example in examples)
    ids, labels, mask = [], [], []
    for example in examples:
        padding = longest - len(example["ids"])
        ids.append(example["ids"] + [2] + [0] * (padding))
        # The label at i is what transformers' shifted loss predicts from i - 1.
        shifted = [-100] + [t if t >= 0 else -100 for t in example["targets"]]
        labels.append(shifted + [-100] * padding)
        mask.append([1] * (len(example["ids"]) + 1) + [0] * padding)
    return {"input_ids": torch.tensor(ids), "labels": torch.tensor(labels),
            "attention_mask": torch.tensor(mask)}


def make_model(arguments):
    torch.manual_seed(0)
    config = LlamaConfig(vocab_size=arguments.vocabulary, hidden_size=arguments.hidden,
                         intermediate_size=arguments.intermediate,
                         num_hidden_layers=arguments.layers, num_attention_heads=arguments.heads,
                         max_position_embeddings=4096, use_cache=False)
    model = LlamaForCausalLM(config).to(torch.bfloat16)
    targets = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
    lora = LoraConfig(r=arguments.rank, lora_alpha=2 * arguments.rank, lora_dropout=0.05,
                      target_modules=targets, task_type="CAUSAL_LM")
    return get_peft_model(model, lora)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("examples")
    parser.add_argument("--limit", type=int, default=64)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--hidden", type=int, default=1024)
    parser.add_argument("--intermediate", type=int, default=2752)
    parser.add_argument("--layers", type=int, default=8)
    parser.add_argument("--heads", type=int, default=8)
    parser.add_argument("--vocabulary", type=int, default=125696)
    parser.add_argument("--rank", type=int, default=8)
    arguments = parser.parse_args()
    model = make_model(arguments)
    optimizer = torch.optim.AdamW((p for p in model.parameters() if p.requires_grad), lr=1e-4)
    examples = read_examples(arguments.examples, arguments.limit + arguments.batch)
    batches = [collate(examples[i:i + arguments.batch])
               for i in range(0, len(examples), arguments.batch)]
    model.train()
    tokens = targets = 0
    start = None
    for number, batch in enumerate(batches):
        if number == 1:
            start = time.perf_counter()  # the first batch warms up
        loss = model(**batch).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        if number >= 1:
            tokens += batch["input_ids"].numel()
            targets += int((batch["labels"] >= 0).sum())
    seconds = time.perf_counter() - start
    count = len(examples) - arguments.batch
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"examples {count}   padded tokens {tokens}   targets {targets}   seconds {seconds:.2f}")
    print(f"examples/s {count / seconds:.2f}   targets/s {targets / seconds:.0f}")
    print(f"peak memory {peak:.2f} GiB   last loss {loss.item():.3f}")


if __name__ == "__main__":
    main()

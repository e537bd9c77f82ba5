"""PEFT adapters around the reference."""

import peft
import torch

import baichuan


def make_adapter(folder, options, split=False):
    """An adapter whose numbers are all random, B too, on the model of a folder. Its update has half
    the size of the weights, whatever rank and alpha."""
    config = peft.LoraConfig(task_type="CAUSAL_LM", init_lora_weights=False, **options)
    model = peft.get_peft_model(baichuan.load(folder, split), config)
    for module in model.modules():
        if isinstance(module, peft.tuners.lora.Linear):
            torch.nn.init.normal_(module.lora_B["default"].weight)
            module.lora_B["default"].weight.data /= (
                2 * module.scaling["default"] * module.r["default"] ** 0.5)
    return model


def load_adapter(folder, adapter, split=False):
    model = baichuan.load(folder, split)
    return peft.PeftModel.from_pretrained(model, adapter, is_trainable=True).eval()

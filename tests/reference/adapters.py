"""PEFT adapters around the reference."""

import peft
import torch

import baichuan


def make_adapter(folder, options, split=False):
    """An adapter whose numbers are all random, B too, on the model of a folder. Its update has half
    the size of the weights, whatever rank and alpha. One that options let start from the base is
    left as it starts."""
    options = dict(task_type="CAUSAL_LM", init_lora_weights=False) | options
    model = peft.get_peft_model(baichuan.load(folder, split), peft.LoraConfig(**options))
    if options["init_lora_weights"]:
        return model
    for module in model.modules():
        if isinstance(module, peft.tuners.lora.Linear):
            torch.nn.init.normal_(module.lora_B["default"].weight)
            module.lora_B["default"].weight.data /= (
                2 * module.scaling["default"] * module.r["default"] ** 0.5)
            if options.get("use_dora"):
                lengths = module.base_layer.weight.data.norm(dim=1)
                module.lora_magnitude_vector["default"].weight.data = (
                    lengths * (1 + 0.2 * torch.randn(lengths.shape)))
    return model


def load_adapter(folder, adapter, split=False):
    model = baichuan.load(folder, split)
    return peft.PeftModel.from_pretrained(model, adapter, is_trainable=True).eval()

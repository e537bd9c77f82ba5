"""Tiny bases with tokenizer, adapters that PEFT has saved, and what `radgpt merge` makes of them.

Scripts of this folder are run by ../run.sh, with the executable in PROGRAM.
"""

import json
import os
import shutil
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import adapters  # noqa: E402
import tiny_models  # noqa: E402

RANDOM = torch.Generator().manual_seed(4)

# Sizes that ggml takes: columns in multiples of 32. llama.cpp tells the kinds apart by 32 and 40
# layers; a RoPE model of another depth is written as `llama`.
SIZES = {
    "rope": dict(position_embedding="rope", hidden_size=96, num_attention_heads=3,
                 num_hidden_layers=2, intermediate_size=160, rms_norm_eps=1e-6),
    "rope_32_layers": dict(position_embedding="rope", hidden_size=64, num_attention_heads=2,
                           num_hidden_layers=32, intermediate_size=96, rms_norm_eps=1e-5),
    "alibi_40_layers": dict(position_embedding="alibi", hidden_size=96, num_attention_heads=3,
                            num_hidden_layers=40, intermediate_size=96, rms_norm_eps=1e-6),
}

TEXTS = [
    "双肺纹理增多，右肺上叶见磨玻璃结节，大小约8mm×6mm。",
    "影像所见：双肺清晰，未见明显异常。\n影像诊断：\n1. 左肺下叶结节；2. 建议随访。",
    " 前面有空格  中间有两个 ",
    "T1WI呈低信号，T2WI/FLAIR呈高信号\tDWI未见明显弥散受限。\r\n",
    "。。。。。。。 ---- ...... 。。。",
    "𠮷😀 ①②③ <div>胸12椎体</div> <reserved_105",
    "甲状腺左叶见低回声结节，边界清，大小约12mm×9mm，CDFI示周边血流信号。" * 20,
    "",
]


def run(*arguments):
    command = [os.environ["PROGRAM"], *map(str, arguments)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def make_tokenizer(folder):
    """The tokenizer.model of a run on made-up reports, as libradgpt trains it."""
    run("simulate", "--out", folder / "reports", "--reports", 120, "--seed", 3)
    (folder / "recipe.yaml").write_text(
        "model: {hidden_size: 16, intermediate_size: 16, layers: 1, heads: 1, position: rope,\n"
        "        max_length: 512, tokenizer_pieces: 2000}\n"
        f"data: {{sources: [{{reports: [{folder}/reports/reports.jsonl]}}]}}\n"
        'tasks: [{name: report, answer: "{findings}\\n{impression}"}]\n'
        "train: {parameters: full, steps: 1, pack_tokens: 512, threads: 1}\n"
        f"output: {{folder: {folder}/run}}\n")
    run("train", folder / "recipe.yaml")
    return folder / "run/model/tokenizer.model"


def varint(data, at):
    value = shift = 0
    while True:
        value |= (data[at] & 127) << shift
        shift, at = shift + 7, at + 1
        if data[at - 1] < 128:
            return value, at


def score_places(data):
    """(text, place of the 4 bytes of its score) of the pieces of a ModelProto."""
    at = 0
    while at < len(data):
        key, at = varint(data, at)
        size, at = varint(data, at)  # all fields of a ModelProto are messages
        end = at + size
        if key == 10:
            length, begin = varint(data, at + 1)
            assert data[begin + length] == 21  # field 2, four bytes
            yield data[begin:begin + length].decode(), begin + length + 1
        at = end


def mix_scores(source, target):
    """As Baichuan2's last 25,728 pieces are: learnt pieces, their scores in another order."""
    data = bytearray(source.read_bytes())
    places = [at for text, at in list(score_places(data))[1345:] if len(text) > 1]
    scores = [data[at:at + 4] for at in places]
    assert len({bytes(score) for score in scores}) == len(scores) > 200
    for at, source_of in zip(places, torch.randperm(len(places), generator=RANDOM).tolist()):
        data[at:at + 4] = scores[source_of]
    assert struct.unpack("<f", scores[-1])[0] < -200
    target.write_bytes(data)


class Fixture:
    """Folders of a base and of an adapter on it, and the same as models of PEFT."""

    def __init__(self, folder, tokenizer, size):
        self.base, self.adapter = folder / "base", folder / "adapter"
        pieces = sum(1 for _ in score_places(tokenizer.read_bytes()))
        tiny_models.write_model(self.base, size, vocab_size=pieces)
        shutil.copy(tokenizer, self.base / "tokenizer.model")
        torch.manual_seed(5)
        targets = ["W_pack", "o_proj", "gate_proj", "up_proj", "down_proj"]
        model = adapters.make_adapter(
            self.base, dict(r=4, lora_alpha=8, lora_dropout=0.0, target_modules=targets))
        model.save_pretrained(self.adapter)
        self.merged = model.merge_and_unload().eval()
        self.folder = folder
        reports = (folder.parent / "reports/reports.jsonl").read_text().splitlines()
        # Where pieces compete: those that the tokenizer has learnt from.
        self.texts = TEXTS + [json.loads(report)["findings"] for report in reports]

    def merge(self, out, *options, adapter=True):
        chosen = ("--adapter", self.adapter) if adapter else ()
        run("merge", "--model", self.base, *chosen, "--out", self.folder / out, *options)
        return self.folder / out


def with_fixtures(check, names):
    """Calls check(fixture, name) for each size of that name, one after the other."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        mix_scores(make_tokenizer(folder), folder / "mixed.model")
        for name in names:
            print(name)
            (folder / name).mkdir()
            check(Fixture(folder / name, folder / "mixed.model", SIZES[name]), name)


def prompt_ids(tokenizer, text):
    """A prompt of the chat format; `tokenizer` is sentencepiece's."""
    return [195, *tokenizer.encode(text), 196]


def require_close(got, expected, tolerance, what):
    """Relative to the largest number expected."""
    error = float((got - expected).abs().max() / expected.abs().max())
    print(f"  {what}: {error:.1e} of {tolerance:.0e}")
    assert error <= tolerance, what

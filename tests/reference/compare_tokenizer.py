"""libradgpt's tokenizer against the sentencepiece library: ids and decoded text of all report texts
in ../shared/data and of random texts, and decoded text of random ids; for Baichuan2's own tokenizer
where ../shared has it, and for a small one made here.

The rule where the two must differ (libradgpt/data/tokenizer.h): text that spells a control or
reserved symbol is encoded as the ordinary characters it is, and U+2581, sentencepiece's mark for a
space, as its bytes. Texts with such symbols are expected to give what PlainBpe below gives, which
for all other texts must agree with sentencepiece.
"""

import json
import os
import random
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import sentencepiece

SHARED = Path(__file__).parents[2] / ".." / "shared"
RESERVED = re.compile(r"<SEP>|<CLS>|<reserved_\d+>")
SPACE_MARK = "\u2581"
FIRST_USER_DEFINED, FIRST_BYTE, FIRST_NORMAL = 3, 1089, 1345


class PlainBpe:
    """SentencePiece's BPE by its rules: user-defined pieces are found first, longest first; then
    the neighbours whose concatenation has the highest score merge, the leftmost of equals, until
    none is a piece; what is no piece becomes bytes. Reserved symbols are no pieces."""

    def __init__(self, processor):
        self.symbols = {}
        for i in range(FIRST_USER_DEFINED, FIRST_BYTE):
            piece = processor.IdToPiece(i)
            if not RESERVED.fullmatch(piece):
                self.symbols[piece] = i
        self.longest = max(map(len, self.symbols))
        self.pieces = {processor.IdToPiece(i): (processor.GetScore(i), i)
                       for i in range(FIRST_NORMAL, processor.GetPieceSize())}

    def symbol_at(self, text, begin):
        for end in range(min(len(text), begin + self.longest), begin, -1):
            if text[begin:end] in self.symbols:
                return text[begin:end]
        return None

    def encode(self, text):
        text, ids, run, begin = text.replace(" ", SPACE_MARK), [], [], 0
        while begin < len(text):
            symbol = self.symbol_at(text, begin)
            if symbol:
                ids += self.merged(run) + [self.symbols[symbol]]
                run = []
            else:
                run.append(text[begin])
            begin += len(symbol or text[begin])
        return ids + self.merged(run)

    def merged(self, run):
        parts = list(run)
        while True:
            pairs = [(self.pieces[a + b][0], -i) for i, (a, b) in enumerate(zip(parts, parts[1:]))
                     if a + b in self.pieces]
            if not pairs:
                break
            i = -max(pairs)[1]
            parts[i:i + 2] = [parts[i] + parts[i + 1]]
        ids = []
        for part in parts:
            if part in self.pieces:
                ids.append(self.pieces[part][1])
            else:
                ids += [FIRST_BYTE + byte for byte in part.encode()]
        return ids


class Expected:
    def __init__(self, processor):
        self.processor = processor
        self.plain = PlainBpe(processor)

    def ids(self, text):
        found = []
        for i, part in enumerate(text.split(SPACE_MARK)):
            if i > 0:
                found += [FIRST_BYTE + byte for byte in SPACE_MARK.encode()]
            encoder = self.plain if RESERVED.search(part) else self.processor
            found += encoder.encode(part)
        return found


def report_texts():
    """Every text in the files of ../shared/data."""
    texts = set()
    for path in sorted((SHARED / "data").glob("*.jsonl")):
        for line in path.read_text().splitlines():
            texts.update(v for v in json.loads(line).values() if isinstance(v, str))
    return sorted(texts)


WORDS = ["双肺纹理增多", "右肺上叶", "磨玻璃结节", "甲状腺", "未见明显异常", "，", "。", "、", "：", "...",
         "。。。", "\n", "\t", "\r\n", " ", "  ", "12", "3.5", "×", "mm", "cm", "T2WI", "SUVmax", "No.",
         "<s>", "</s>", "<unk>", "<pad>", "<reserved_106>", "<reserved_107>", "<reserved_9>",
         "<reserved_", "<SEP>", "<CLS>", "<td>", "</table>", "```", "<!--", "<0x0A>", "▁", "Ⅲ", "㎝",
         "é", "e\u0301", "\u200b", "\ufeff", "\u00a0", "\x00", "\x1b", "\U0001F600", "ｍｍ", "０", "％"]


def random_text(draw):
    def point():
        kind = draw.random()
        if kind < 0.5:
            return draw.randrange(0x4E00, 0x9FA6)
        if kind < 0.8:
            return draw.randrange(0x20, 0x7F)
        value = draw.randrange(0x110000 - 0x800)
        return value if value < 0xD800 else value + 0x800

    parts = [draw.choice(WORDS) if draw.random() < 0.5 else
             "".join(chr(point()) for _ in range(draw.randrange(1, 9)))
             for _ in range(draw.randrange(0, 9))]
    return "".join(parts)


def random_ids(draw, size):
    """Any ids but the reserved symbols, many of them bytes that are no UTF-8 together."""
    def one():
        if draw.random() < 0.4:
            return FIRST_BYTE + draw.randrange(256)
        return draw.choice([0, 1, 2, 5, 6, draw.randrange(52, 101),
                            draw.randrange(FIRST_BYTE, size)])

    return [one() for _ in range(draw.randrange(12))]


class Program:
    def __init__(self, folder, model):
        self.folder, self.model = folder, model

    def ask(self, verb, questions):
        (self.folder / "questions.json").write_text(json.dumps(questions))
        answers = self.folder / "answers.jsonl"
        subprocess.run([os.environ["PROGRAM"], verb, self.model, self.folder / "questions.json",
                        answers], check=True)
        return [json.loads(line) for line in answers.read_text().split("\n")[:-1]]


def compare(model, texts, folder):
    """The number of texts and lists of ids that differ."""
    processor = sentencepiece.SentencePieceProcessor(model_file=str(model))
    expected, program, different, other = Expected(processor), Program(folder, model), 0, 0

    def differ(kind, question, got, wanted):
        nonlocal different
        different += 1
        if different <= 5:
            print(f"  {kind} of {question!r}: {got}, expected {wanted}")

    for text, answer in zip(texts, program.ask("encode", texts), strict=True):
        ids = expected.ids(text)
        if answer["ids"] != ids:
            differ("ids", text, answer["ids"], ids)
        if answer["decoded"] != text:
            differ("round trip", text, answer["decoded"], text)
        other += ids != processor.encode(text)
    for text in texts[:3000]:
        if SPACE_MARK not in text and not RESERVED.search(text):
            if expected.plain.encode(text) != processor.encode(text):
                differ("PlainBpe", text, expected.plain.encode(text), processor.encode(text))
    draw = random.Random(2)
    lists = [random_ids(draw, processor.GetPieceSize()) for _ in range(20000)]
    for ids, text in zip(lists, program.ask("decode", lists), strict=True):
        if text != processor.decode(ids):
            differ("text", ids, text, processor.decode(ids))
    print(f"  {len(texts)} texts ({other} with symbols that must stay text), {len(lists)} lists of "
          f"ids: {different} differ")
    return different


def main():
    draw = random.Random(1)
    texts = [random_text(draw) for _ in range(100000)] + report_texts()
    different = 0
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        print("a small tokenizer")
        subprocess.run([os.environ["PROGRAM"], "train", folder / "small.model"], check=True)
        different += compare(folder / "small.model", texts, folder)
        model = SHARED / "tokenizer/baichuan2/tokenizer.model"
        if model.exists():
            print("Baichuan2's tokenizer")
            different += compare(model, texts, folder)
        else:
            print("skipped: no ../shared")
    sys.exit(different > 0)


main()

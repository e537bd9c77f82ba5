"""Compares our readers of tensor files with those of PyTorch and safetensors.

    python3 tests/reference/files/compare_files.py TENSOR_DIGESTS [--mutants N] [--seed S]
        [--folder F] [--large]
    python3 tests/reference/files/compare_files.py --write-golden tests/formats/golden

Files that torch.save and safetensors write, in many layouts, must be read with equal bits, whole and
in pieces. Damaged ones (N of each format) may be refused where the reference accepts them, never the
other way round, and what both accept must be equal. TENSOR_DIGESTS is the program of that name (cmake
target tensor_digests). The second form writes the file that tests/formats reads where there is no
Python. --large also writes and reads one file of 4.4 GB, whose places need 64 bits.
Needs torch and safetensors. Exit code 1 if anything differs.
"""

import argparse
import collections
import hashlib
import io
import os
import random
import struct
import subprocess
import sys
import tempfile
import time
import warnings
import zipfile
import zlib

import safetensors.torch
import torch

warnings.filterwarnings("ignore")
NAMES = {
    torch.bfloat16: "BF16", torch.float16: "F16", torch.float32: "F32", torch.float64: "F64",
    torch.int8: "I8", torch.uint8: "U8", torch.int32: "I32", torch.int64: "I64",
}


class Reader:
    """Our program, kept running."""

    def __init__(self, program, piece_bytes):
        self.process = subprocess.Popen([program, str(piece_bytes)], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True, encoding="utf-8")

    def tensors(self, path):
        """Name -> (type, shape, digest), or None and the message of the refusal."""
        self.process.stdin.write(path + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            sys.exit(f"our reader died at {path}, status {self.process.wait()}")
        verdict, *fields = line.rstrip("\n").split("\t")
        if verdict == "refused":
            return None, fields[0]
        return {name: (dtype, shape, digest)
                for name, dtype, shape, digest in zip(*[iter(fields)] * 4)}, ""


def described(tensors):
    """The same of a dict of torch's tensors."""
    result = {}
    for name, tensor in tensors.items():
        tensor = tensor.detach().contiguous()
        raw = tensor.reshape(-1).view(torch.uint8).numpy().tobytes() if tensor.numel() else b""
        result[name] = (NAMES[tensor.dtype], str(list(tensor.shape)),
                        hashlib.sha256(raw).hexdigest())
    return result


def values(shape, dtype, seed):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator).to(dtype)


def layouts():
    """Name -> what is given to torch.save."""
    result = {}
    state = collections.OrderedDict()
    for i, dtype in enumerate((torch.bfloat16, torch.float16, torch.float32)):
        state[f"layers.{i}.weight"] = values((17, 33), dtype, i)
    state["层.weight"] = values((3,), torch.float32, 4)
    result["ordered"] = state
    result["dict"] = dict(state)
    result["parameters"] = {name: torch.nn.Parameter(tensor) for name, tensor in state.items()}
    module = torch.nn.Sequential(torch.nn.Linear(5, 7), torch.nn.LayerNorm(7), torch.nn.Linear(7, 2))
    result["module"] = module.half().state_dict()
    whole = values((64, 96), torch.float32, 5)
    result["views"] = {
        "whole": whole, "transposed": whole.t(), "narrowed": whole[3:40], "columns": whole[:, 5:17],
        "steps": whole[::3, 1::7], "expanded": whole[:1, :].expand(20, 96),
        "scalar": whole[2, 3], "cube": whole.view(8, 8, 96).permute(2, 0, 1),
        "column": whole[:, 2], "empty": whole[:0], "one": whole[4:5, 6:7], "flat": whole.view(-1),
        "tail": whole.view(-1)[-7:], "repeated": whole[:, :1].expand(64, 9),
    }
    large = values((1500, 2100), torch.bfloat16, 6)
    result["large views"] = {
        "transposed": large.t(), "right": large[:, 20:], "far": large[::700, ::1000],
        "block": large[100:200],
    }
    tied = values((40, 8), torch.bfloat16, 7)
    result["tied"] = {"embed": tied, "head": tied, "copy": tied.clone()}
    result["many"] = {f"model.layers.{i}.weight": values((i % 5 + 1, 4), torch.bfloat16, i)
                      for i in range(700)}
    result["edges"] = {
        "scalar": torch.tensor(1.5), "none": torch.zeros(3, 0), "nan": torch.tensor([float("nan")]),
        "rank": values((1, 2, 1, 2, 1, 2, 1, 2), torch.float32, 8),
    }
    result["empty"] = {}
    return result


def save(value, folder, name):
    path = os.path.join(folder, name.replace(" ", "_") + ".bin")
    torch.save(value, path)
    return path


def load(path):
    return torch.load(path, weights_only=True, map_location="cpu")


def check_whole_files(readers, folder):
    faults = 0
    for name, value in layouts().items():
        files = [(save(value, folder, name), described(load(save(value, folder, name))))]
        stored = {key: tensor.detach().contiguous().clone() for key, tensor in value.items()}
        path = os.path.join(folder, name.replace(" ", "_") + ".safetensors")
        safetensors.torch.save_file(stored, path)
        files.append((path, described(safetensors.torch.load_file(path))))
        for (path, expected), reader in ((file, reader) for file in files for reader in readers):
            ours, message = reader.tensors(path)
            if ours != expected:
                print(f"DIFFERS {os.path.basename(path)}: {message or 'other values'}")
                faults += 1
    print(f"{len(layouts())} layouts, torch.save and safetensors, whole and in pieces of 7 bytes: "
          f"{faults} differ")
    return faults


def check_large_file(reader, folder):
    path = os.path.join(folder, "large.bin")
    first = torch.zeros(2_200_000_000, dtype=torch.bfloat16)
    first[::1_000_003] = 1
    expected = {"first": first, "second": values((1000, 300), torch.float32, 9),
                "third": values((10,), torch.float16, 9)}
    torch.save(expected, path)
    ours, message = reader.tensors(path)
    equal = ours == described(expected)
    print(f"a file of {os.path.getsize(path)} bytes: {'equal' if equal else 'DIFFERS ' + message}")
    os.remove(path)
    return 0 if equal else 1


def zip_of(parts):
    """A zip as torch.save writes it."""
    out, directory = io.BytesIO(), b""
    for name, data in parts:
        offset, crc, name = out.tell(), zlib.crc32(data), name.encode()
        out.write(struct.pack("<IHHHIIIIHH", 0x04034B50, 0, 0x808, 0, 0, 0, 0, 0, len(name), 0))
        out.write(name + data + struct.pack("<IIII", 0x08074B50, crc, len(data), len(data)))
        directory += struct.pack("<IHHHHIIIIHHHHHII", 0x02014B50, 0, 0, 0x808, 0, 0, crc, len(data),
                                 len(data), len(name), 0, 0, 0, 0, 0, offset) + name
    begin, end = out.tell(), out.tell() + len(directory)
    out.write(directory)
    out.write(struct.pack("<IQHHIIQQQQ", 0x06064B50, 44, 798, 45, 0, 0, len(parts), len(parts),
                          len(directory), begin))
    out.write(struct.pack("<IIQI", 0x07064B50, 0, end, 1))
    out.write(struct.pack("<IHHHHIIH", 0x06054B50, 0, 0, len(parts), len(parts), len(directory),
                          begin, 0))
    return out.getvalue()


def write_golden(folder):
    """torch_save.bin, a few kB in every layout, and what is in it, a tensor a line."""
    torch.manual_seed(0)
    whole = values((6, 10), torch.float32, 1)
    large = values((8, 40), torch.bfloat16, 2)
    state = collections.OrderedDict([
        ("model.embed_tokens.weight", large), ("lm_head.weight", large), ("whole", whole),
        ("transposed", whole.t()), ("narrowed", whole[1:4, 3:]), ("expanded", whole[2].expand(3, 10)),
        ("parameter", torch.nn.Parameter(values((3, 2), torch.float16, 3))),
        ("层.scalar", torch.tensor(0.5)), ("none", torch.zeros(0, 4))])
    state._metadata = collections.OrderedDict({"": {"version": 1}})
    torch.save(state, os.path.join(folder, "torch_save.bin"))
    with open(os.path.join(folder, "torch_save.txt"), "w", encoding="utf-8") as file:
        for name, fields in described(state).items():
            file.write("\t".join((name, *fields)) + "\n")


def mutate(data, draw, tokens):
    """One to three edits of bytes, or of what stands for something in the format."""
    data = bytearray(data)
    for _ in range(draw.choice((1, 1, 1, 2, 3))):
        at, kind = draw.randrange(len(data)) if data else 0, draw.randrange(7)
        length = draw.randint(1, 8)
        if kind == 0 and data:
            data[at] = draw.randrange(256)
        elif kind == 1 and data:
            data[at] ^= 1 << draw.randrange(8)
        elif kind == 2:
            del data[at:at + length]
        elif kind == 3:
            data[at:at] = data[at:at + length]
        elif kind == 4:
            data[at:at] = draw.choice(tokens)
        elif kind == 5 and data:
            data[at] = (data[at] + draw.choice((-1, 1))) % 256
        else:
            token = draw.choice(tokens)
            data[at:at + len(token)] = token
    return bytes(data)


PICKLE_TOKENS = [b"(", b".", b"K\x00", b"K\x01", b"K\x02", b"M\x00\x01", b"N", b"Q", b"R", b"b", b"h\x01",
                 b"h\x03", b"q\x05", b"s", b"t", b"u", b"}", b")", b"\x85", b"\x86", b"\x87", b"\x88",
                 b"\x89", b"\x8a\x01\x02", b"J\xff\xff\xff\xff", b"X\x01\x00\x00\x00a",
                 b"ctorch\nHalfStorage\n", b"ctorch\nFloatStorage\n", b"ctorch\nBFloat16Storage\n",
                 b"ccollections\nOrderedDict\n", b"cos\nsystem\n", b"0", b"1", b"2"]
JSON_TOKENS = [b"0", b"1", b"8", b"12", b"-1", b",", b":", b"[", b"]", b"{", b"}", b'"', b"BF16", b"F16",
               b"F32", b"dtype", b"shape", b"data_offsets", b"1e2", b"18446744073709551616", b" ",
               b'"a":', b"null", b"\\u0061"]


def pytorch_mutants(count, draw):
    base = io.BytesIO()
    whole = values((4, 6), torch.float32, 1)
    torch.save(collections.OrderedDict(a=whole, b=whole.t(), c=whole[1:3, 2:],
                                       d=values((3,), torch.bfloat16, 2),
                                       e=torch.nn.Parameter(values((2, 2), torch.float16, 3))), base)
    plain = base.getvalue()
    parts = [(info.filename, zipfile.ZipFile(base).read(info))
             for info in zipfile.ZipFile(base).infolist()]
    for i in range(count):
        if i % 4 == 0:
            yield mutate(plain, draw, [b"PK\x03\x04", b"PK\x01\x02", b"\x00\x00", b"\xff\xff\xff\xff"])
        else:
            yield zip_of([(name, mutate(data, draw, PICKLE_TOKENS) if name.endswith("data.pkl")
                           else data) for name, data in parts])


def safetensors_mutants(count, draw):
    plain = safetensors.torch.save({"a": values((2, 3), torch.float32, 1),
                                    "b": values((4,), torch.bfloat16, 2),
                                    "c": torch.zeros(0, 2), "d": torch.arange(3)}, {"format": "pt"})
    length = struct.unpack("<Q", plain[:8])[0]
    header, data = plain[8:8 + length].rstrip(), plain[8 + length:]
    for i in range(count):
        if i % 4 == 0:
            yield mutate(plain, draw, [b"\x00", b"\xff", b"{", b"}"])
        else:
            changed = mutate(header, draw, JSON_TOKENS)
            yield struct.pack("<Q", len(changed)) + changed + data


def check_mutants(reader, path, mutants, reference):
    faults, verdicts, begin = 0, collections.Counter(), time.time()
    for data in mutants:
        with open(path, "wb") as file:
            file.write(data)
        ours, message = reader.tensors(path)
        if ours is None:
            verdicts["refused"] += 1
            continue
        verdicts["accepted"] += 1
        try:
            expected = described(reference(path))
        except Exception as error:  # whatever the reference throws is its refusal
            expected = f"refused: {error}"
        if ours != expected:
            faults += 1
            kept = f"{path}.fault-{faults}"
            with open(kept, "wb") as file:
                file.write(data)
            print(f"DIFFERS {kept}: ours {ours}, reference {str(expected)[:300]}")
            if faults >= 10:
                break
    print(f"{sum(verdicts.values())} mutants as {os.path.basename(path)}: {verdicts['accepted']} "
          f"accepted, {verdicts['refused']} refused, {faults} differ, {time.time() - begin:.0f} s")
    return faults


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("program", nargs="?")
    parser.add_argument("--write-golden", metavar="FOLDER")
    parser.add_argument("--mutants", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    parser.add_argument("--folder")
    parser.add_argument("--large", action="store_true")
    arguments = parser.parse_args()
    if arguments.write_golden:
        write_golden(arguments.write_golden)
        return
    if not arguments.program:
        parser.error("TENSOR_DIGESTS is needed")
    print(f"seed {arguments.seed}, torch {torch.__version__}, "
          f"safetensors {safetensors.__version__}")
    draw = random.Random(arguments.seed)
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.folder or temporary
        whole = Reader(arguments.program, 1 << 24)
        faults = check_whole_files([whole, Reader(arguments.program, 7)], folder)
        if arguments.large:
            faults += check_large_file(whole, folder)
        faults += check_mutants(whole, os.path.join(folder, "mutant.bin"),
                                pytorch_mutants(arguments.mutants, draw), load)
        faults += check_mutants(whole, os.path.join(folder, "mutant.safetensors"),
                                safetensors_mutants(arguments.mutants, draw),
                                safetensors.torch.load_file)
    sys.exit(1 if faults else 0)


if __name__ == "__main__":
    main()

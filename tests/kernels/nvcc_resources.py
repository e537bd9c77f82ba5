#!/usr/bin/env python3
"""Compiles every kernel for every architecture and compares what nvcc reports with the table in
kernels/resources.csv:

    nvcc_resources.py            compare
    nvcc_resources.py --write    write the table anew

No kernel may spill registers or keep an array in local memory. Registers and shared memory depend
on the compiler, so they are compared only where nvcc is the one that wrote the table.
"""

import csv
import pathlib
import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

ROOT = pathlib.Path(__file__).resolve().parents[2]
TABLE = ROOT / "kernels" / "resources.csv"
ARCHITECTURES = ["sm_80", "sm_89", "sm_90"]
COLUMNS = ["kernel", "architecture", "registers", "shared_bytes"]


def nvcc_version():
    text = subprocess.run(["nvcc", "--version"], capture_output=True, text=True, check=True).stdout
    return re.search(r"V([0-9.]+)", text).group(1)


def demangled(names):
    text = "\n".join(names)
    result = subprocess.run(["c++filt"], input=text, capture_output=True, text=True, check=True)
    short = []
    for name in result.stdout.splitlines():
        name = re.sub(r"\(anonymous namespace\)::", "", name)
        name = name.split("(")[0].replace("radgpt::kernels::", "").removeprefix("void ")
        short.append(name)
    return short


def report(source, architecture):
    """Rows of the table and faults of one source and architecture."""
    command = ["nvcc", "-std=c++20", "--expt-relaxed-constexpr", f"-arch={architecture}", f"-I{ROOT}",
               "-Xptxas", "-v", "-cubin", "-o", "/dev/null", str(source)]
    result = subprocess.run(command, capture_output=True, text=True)
    if result.returncode != 0:
        return [], [f"{source.name}: {architecture}: nvcc failed: {result.stderr[-500:]}"]
    pattern = re.compile(
        r"entry function '(\w+)'.*?(\d+) bytes stack frame, (\d+) bytes spill stores, "
        r"(\d+) bytes spill loads.*?Used (\d+) registers([^\n]*)", re.S)
    entries = pattern.findall(result.stderr)
    names = demangled([entry[0] for entry in entries])
    rows, faults = [], []
    if not entries:
        faults.append(f"{source.name}: {architecture}: nvcc's report names no kernel")
    for name, (_, stack, stores, loads, registers, rest) in zip(names, entries):
        shared = re.search(r"(\d+) bytes smem", rest)
        rows.append([name, architecture, registers, shared.group(1) if shared else "0"])
        if (stack, stores, loads) != ("0", "0", "0"):
            faults.append(f"{name}: {architecture}: {stack} bytes of stack, {stores} + {loads} "
                          "bytes of spills, expected none")
    return rows, faults


def measure():
    sources = sorted((ROOT / "kernels").glob("*/*_cuda.cu"))
    jobs = [(source, architecture) for source in sources for architecture in ARCHITECTURES]
    with ThreadPoolExecutor(2) as pool:
        results = list(pool.map(lambda job: report(*job), jobs))
    rows = {tuple(row) for part, _ in results for row in part}
    return sorted(rows), [fault for _, part in results for fault in part]


def main():
    if shutil.which("nvcc") is None:
        print("skipped: no nvcc; 1 check of registers and shared memory")
        return 0
    version = nvcc_version()
    rows, faults = measure()
    if "--write" in sys.argv:
        with TABLE.open("w", newline="") as file:
            file.write(f"# nvcc {version}\n")
            csv.writer(file, lineterminator="\n").writerows([COLUMNS] + [list(row) for row in rows])
    with TABLE.open() as file:
        written_by = file.readline().removeprefix("# nvcc ").strip()
        recorded = {tuple(row) for row in list(csv.reader(file))[1:]}
    if written_by != version:  # kernels and architectures are the same, registers need not be
        print(f"registers not compared: {TABLE.name} is of nvcc {written_by}, this is {version}")
        rows, recorded = ({row[:2] for row in table} for table in (rows, recorded))
    faults += [f"{' '.join(row)}: not in {TABLE.name}" for row in sorted(set(rows) - recorded)]
    faults += [f"{' '.join(row)}: only in {TABLE.name}" for row in sorted(recorded - set(rows))]
    for fault in faults:
        print(fault)
    print(f"{len(rows)} kernels and architectures, {len(faults)} faults")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())

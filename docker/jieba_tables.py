"""Writes the tables of jieba's hidden Markov model for unknown words as one plain text file.

    python3 jieba_tables.py FINALSEG_FOLDER HMM_TXT

The folder holds prob_start.py, prob_trans.py and prob_emit.py, each one assignment `P = {...}` of
log probabilities. They are parsed as literals: nothing that was downloaded is run. Written lines:
`start STATE P`, `trans FROM TO P`, `emit STATE CHARACTER P`, where a state is one of B, M, E, S
(begin, middle, end of a word, single).
"""

import ast
import pathlib
import sys


def table(path):
    """The literal assigned to P in the module at `path`."""
    for statement in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(statement, ast.Assign) and statement.targets[0].id == "P":
            return ast.literal_eval(statement.value)
    sys.exit(f"error: {path.name}: expected an assignment to P")


def main():
    folder, output = map(pathlib.Path, sys.argv[1:])
    lines = [f"start {state} {p!r}" for state, p in table(folder / "prob_start.py").items()]
    for name, kind in (("prob_trans.py", "trans"), ("prob_emit.py", "emit")):
        for state, row in table(folder / name).items():
            lines += [f"{kind} {state} {key} {p!r}" for key, p in row.items()]
    output.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

"""Describes FASTA files: how many sequences there are, how long they are, and what they are called."""

import json
import sys

MOST_NAMES = 100

request = json.load(sys.stdin)
names, lengths, problems = [], [], []
gc = 0
for file in request["files"]:
    with open(file["path"], encoding="ascii", errors="replace") as lines:
        before = len(lengths)
        for line in lines:
            line = line.strip()
            if line.startswith(">"):
                lengths.append(0)
                if len(names) < MOST_NAMES:
                    names.append(line[1:].split(" ", 1)[0])
            elif line and len(lengths) > before:
                lengths[-1] += len(line)
                gc += sum(line.count(letter) for letter in "GCgc")
        if len(lengths) == before:
            problems.append({"path": file["name"], "message": "it has no sequence"})

residues = sum(lengths)
data = {
    "sequences": len(lengths),
    "residues": residues,
    "longest": max(lengths, default=0),
    "gcContent": round(gc / residues, 4) if residues else None,
    "names": names,
}
json.dump({"data": data, "problems": problems}, sys.stdout)

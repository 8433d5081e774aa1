#!/usr/bin/env bash
# A cell of a workbook that holds an error (#N/A, #DIV/0!): python-calamine 0.9.1 reads it as an empty text, the same as a cell
# that is empty, so that no reader can tell a failed formula from a missing value. openpyxl 3.1.5 reads '#N/A'.
# Format: ECMA-376 part 1, 18.18.11 (ST_CellType), type `e`. Exits with 1 if any of this changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check openpyxl==3.1.5 python-calamine==0.9.1
cd "$folder"
"$folder/venv/bin/python" - <<'PY'
import sys

import openpyxl
from python_calamine import CalamineWorkbook

book = openpyxl.Workbook()
book.active.append(["text", "label"])
for text, label in (("an error", "#N/A"), ("another", "#DIV/0!"), ("empty", None)):
    book.active.append([text, label])
book.save("a.xlsx")

calamine = CalamineWorkbook.from_path("a.xlsx").get_sheet_by_index(0).to_python()
sheet = openpyxl.load_workbook("a.xlsx", read_only=True, data_only=True).active
pyxl = [list(row) for row in sheet.iter_rows(values_only=True)]
print(f"python-calamine   {[row[1] for row in calamine[1:]]}")
print(f"openpyxl          {[row[1] for row in pyxl[1:]]}")
seen = [[row[1] for row in calamine[1:]] == ["", "", ""], [row[1] for row in pyxl[1:]] == ["#N/A", "#DIV/0!", None]]
sys.exit(0 if all(seen) else 1)
PY
echo "as seen before"

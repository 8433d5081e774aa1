#!/usr/bin/env bash
# A column of hourly stamps in a workbook: python-calamine 0.9.1 gives a datetime for each hour but midnight, which is a date, although the
# cell has the same type and the same number format as its neighbours. Python does not order dates among datetimes, so that a column
# can be sorted only if it has no midnight. openpyxl 3.1.5 gives a datetime for every cell. In a workbook both are one number, days since 1900
# (ECMA-376 part 1, 18.17.4.1). Exits with 1 if any of this changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check openpyxl==3.1.5 python-calamine==0.9.1
cd "$folder"
"$folder/venv/bin/python" - <<'PY'
import sys
from datetime import datetime, timedelta
from importlib.metadata import version

from openpyxl import Workbook, load_workbook
from python_calamine import CalamineWorkbook

hours = [datetime(2024, 2, 28, 22) + timedelta(hours=k) for k in range(4)]
book = Workbook()
for hour in hours:
    book.active.append([hour])
formats = {cell.number_format for cell in book.active["A"]}
book.save("hours.xlsx")

fast = [row[0] for row in CalamineWorkbook.from_path("hours.xlsx").get_sheet_by_index(0).to_python()]
plain = [cell.value for cell in load_workbook("hours.xlsx").active["A"]]
try:
    sorted(fast)
    ordering = "sorted"
except TypeError as error:
    ordering = f"TypeError: {error}"

print(f"python-calamine {version('python-calamine')}, openpyxl {version('openpyxl')}; number formats: {formats}")
print("python-calamine:", fast)
print("openpyxl:       ", plain)
print("sorted(python-calamine's):", ordering)

names = [type(value).__name__ for value in fast]
same = names == ["datetime", "datetime", "date", "datetime"] and plain == hours and len(formats) == 1
sys.exit(0 if same and ordering.startswith("TypeError") else 1)
PY
echo "as seen before"

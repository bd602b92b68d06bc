#!/usr/bin/env bash
# Counts the instructions of one cached retrieval, by function: the floor's and this crate's. Unlike the time,
# they do not change on a busy machine. Needs valgrind and python3.
set -euo pipefail
cd "$(dirname "$0")/.."
cargo bench --quiet --all-features --bench hot_path --no-run
cargo bench --quiet --all-features --bench hot_path --no-run --message-format json |
  python3 -c '
import json, re, subprocess, sys, tempfile

CALLS = 100_000
built = [json.loads(line) for line in sys.stdin]
hot_path = next(it["executable"] for it in built if it.get("target", {}).get("name") == "hot_path")
for provider in ["floor", "chain"]:
    with tempfile.NamedTemporaryFile() as out:
        toggle = "--toggle-collect=hot_path::profiled*"
        subprocess.run(["valgrind", "--tool=callgrind", f"--callgrind-out-file={out.name}", toggle,
                        hot_path, "profile", provider], check=True, stderr=subprocess.DEVNULL)
        said = subprocess.run(["callgrind_annotate", "--threshold=99", out.name], check=True,
                              capture_output=True, text=True).stdout
    print(f"{provider}:")
    for count, what in re.findall(r"^ *([\d,]+) +\([ \d.]+%\) +(.+)$", said, re.MULTILINE):
        what = re.sub(r"^.*?:(?=\S*\w)|  *\[[^]]*\]$", "", what).strip()
        print(f"{int(count.replace(chr(44), str())) / CALLS:6.0f}  {what}")
'

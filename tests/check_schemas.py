#!/usr/bin/env python3
"""Our schemas, our events and our sample messages agree. Usage: check_schemas.py TEST_EVENT

TEST_EVENT writes one event of each kind into a folder; the fuzz corpus has messages that are valid and
messages that a schema can know to be invalid.
"""
import json
import pathlib
import subprocess
import sys
import tempfile

try:
    import jsonschema
except ImportError:
    print("python3-jsonschema is not installed")
    sys.exit(77)

ROOT = pathlib.Path(__file__).resolve().parent.parent
# What no schema can say: unique ids, dates that do not exist, text that is no JSON.
BEYOND_A_SCHEMA = {"invalid-duplicate-id.json", "invalid-date.json", "invalid-duplicate-key.json",
                   "invalid-deep.json", "invalid-utf8.json", "invalid-nul.json", "invalid-cut.json",
                   "invalid-empty"}


def validator(name):
    schema = json.loads((ROOT / "docs/schemas" / name).read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def main():
    problems = []
    events = validator("status-1.schema.json")
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([sys.argv[1], folder], check=True)
        samples = sorted(pathlib.Path(folder).glob("*.json"))
        if len(samples) != 6:
            problems.append(f"{len(samples)} events instead of 6")
        for sample in samples:
            for error in events.iter_errors(json.loads(sample.read_bytes())):
                problems.append(f"event {sample.stem}: {error.json_path}: {error.message}")
    orders = validator("order-1.schema.json")
    for sample in sorted((ROOT / "tests/fuzz/corpus/order").iterdir()):
        if sample.name in BEYOND_A_SCHEMA or not sample.name.startswith(("valid-", "invalid-")):
            continue
        valid = orders.is_valid(json.loads(sample.read_bytes()))
        if valid != sample.name.startswith("valid-"):
            problems.append(f"{sample.name}: the schema finds it {'valid' if valid else 'invalid'}")
    print("\n".join(problems) or "events, messages and schemas agree")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())

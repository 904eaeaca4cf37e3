#!/usr/bin/env python3
"""Every metric that an alert or a dashboard of ours names exists, with the labels and values it names.

docs/metrics.md says which there are; unit.metrics holds that page to the program.
"""
import json
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
ROW = re.compile(r"^\| `(fulfilld_\w+)` \| (\w+) \| [^|]* \| ([^|]*) \|", re.M)
USE = re.compile(r"\b(fulfilld_\w+)(?:\{([^}]*)\})?")
MATCHER = re.compile(r'(\w+)\s*(=~|=|!=|!~)\s*"([^"]*)"')


def metrics(reference):
    """{name: (label or None, its values)}; a histogram by the names that Prometheus gives its parts."""
    known = {}
    for name, kind, label in ROW.findall(reference):
        words = re.findall(r"`(\w+)`", label)
        fact = (words[0], set(words[1:])) if words else (None, set())
        for suffix in ("_bucket", "_sum", "_count") if kind == "histogram" else ("",):
            known[name + suffix] = fact
    return known


def expressions():
    """(where, PromQL) of every alert and every panel."""
    rules = ROOT / "deploy/prometheus/fulfilld.rules.yml"
    for expression in re.findall(r"^ +expr: (.*)$", rules.read_text(), re.M):
        yield rules.name, expression
    dashboard = ROOT / "deploy/grafana/fulfilld.json"
    board = json.loads(dashboard.read_text())
    for panel in board["panels"]:
        for target in panel["targets"]:
            yield f"{dashboard.name}: {panel['title']}", target["expr"]
    for variable in board["templating"]["list"]:
        yield f"{dashboard.name}: ${variable['name']}", variable["query"]


def problems(expression, known):
    for name, matchers in USE.findall(expression):
        if name not in known:
            yield f"there is no metric {name}"
            continue
        label, values = known[name]
        for key, operator, value in MATCHER.findall(matchers):
            if key in ("instance", "job"):
                continue
            if key != label:
                yield f"{name} has no label {key}"
            elif operator in ("=", "!=") and value not in values:
                yield f"{name} is never {key}={value}"


def main():
    known = metrics((ROOT / "docs/metrics.md").read_text())
    found, checked = [], 0
    for where, expression in expressions():
        checked += len(USE.findall(expression))
        found += [f"{where}: {problem}" for problem in problems(expression, known)]
    if not known or checked < 20:
        found.append(f"only {len(known)} metrics known, {checked} uses found: the check itself is broken")
    print("\n".join(found) or f"{checked} uses of {len(known)} metrics are right")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/env python3
"""Prints what a crate shows to its users, a line an item, from rustdoc's JSON: `api.py FILE.json`."""

import json
import sys


def main(path):
    with open(path, encoding="utf-8") as file:
        crate = json.load(file)
    index = crate["index"]
    lines = set()
    walk(index, index[str(crate["root"])], "", lines)
    print("\n".join(sorted(lines)))


def walk(index, item, path, lines):
    """Adds the item and what is below it. What is re-exported is where its users find it."""
    kind, inner = next(iter(item["inner"].items()))
    name = f"{path}::{item['name']}" if path else item["name"]
    if kind == "use":
        target = index.get(str(inner["id"]))
        if target is None:
            lines.add(f"use {path}::{inner['name']} = {inner['source']}")
        else:
            walk(index, {**target, "name": inner["name"]}, path, lines)
    elif kind == "module":
        below(index, inner["items"], name, lines)
    elif kind in ("struct", "union"):
        lines.add(f"{kind} {name}{generics(inner)}")
        parts = inner["kind"] if kind == "struct" else {"plain": inner}
        if isinstance(parts, dict):
            below(index, parts.get("plain", {}).get("fields", []), name, lines)
            below(index, [field for field in parts.get("tuple", []) if field is not None], name, lines)
        implementations(index, inner["impls"], name, lines)
    elif kind == "enum":
        lines.add(f"enum {name}{generics(inner)}")
        below(index, inner["variants"], name, lines)
        implementations(index, inner["impls"], name, lines)
    elif kind == "variant":
        lines.add(f"variant {name}{contents(index, inner['kind'])}")
    elif kind == "trait":
        lines.add(f"trait {name}{generics(inner)}: {bounds(inner['bounds'])}")
        below(index, inner["items"], name, lines)
    elif kind == "function":
        lines.add(f"fn {name}{signature(inner)}" + ("" if inner.get("has_body", True) else " (required)"))
    elif kind == "struct_field":
        lines.add(f"field {name}: {text(inner)}")
    elif kind in ("constant", "assoc_const", "static"):
        lines.add(f"const {name}: {text(inner['type'])}")
    else:
        lines.add(f"{kind} {name}")


def below(index, ids, path, lines):
    for identifier in ids:
        item = index.get(str(identifier))
        if item is not None and item["visibility"] in ("public", "default"):
            walk(index, item, path, lines)


def implementations(index, ids, name, lines):
    """Its own functions, and the traits that somebody has written or derived for it."""
    for identifier in ids:
        implementation = index[str(identifier)]["inner"]["impl"]
        if implementation["is_synthetic"] or implementation["blanket_impl"] is not None:
            continue
        if implementation["trait"] is None:
            below(index, [i for i in implementation["items"] if index[str(i)]["visibility"] == "public"], name, lines)
        else:
            lines.add(f"impl {trait(implementation['trait'])} for {name}")


def contents(index, kind):
    if isinstance(kind, str):
        return ""
    fields = kind["tuple"] if "tuple" in kind else kind["struct"]["fields"]
    items = [index[str(field)] for field in fields if field is not None]
    if "tuple" in kind:
        return "(" + ", ".join(text(item["inner"]["struct_field"]) for item in items) + ")"
    return " { " + ", ".join(f"{item['name']}: {text(item['inner']['struct_field'])}" for item in items) + " }"


def signature(function):
    inputs = ", ".join(f"{name}: {text(kind)}" for name, kind in function["sig"]["inputs"])
    output = function["sig"]["output"]
    return f"{generics(function)}({inputs})" + (f" -> {text(output)}" if output is not None else "")


def generics(item):
    """Parameters with their bounds; `impl Trait` has a parameter of its own, which is not written twice."""
    parameters = []
    for parameter in item["generics"]["params"]:
        kind, inner = next(iter(parameter["kind"].items()))
        if kind == "type" and not inner["is_synthetic"]:
            parameters.append(parameter["name"] + (": " + bounds(inner["bounds"]) if inner["bounds"] else ""))
        elif kind != "type":
            parameters.append(parameter["name"])
    where = [predicate(p) for p in item["generics"]["where_predicates"]]
    return (f"<{', '.join(parameters)}>" if parameters else "") + (f" where {', '.join(where)}" if where else "")


def predicate(condition):
    bound = condition.get("bound_predicate")
    return f"{text(bound['type'])}: {bounds(bound['bounds'])}" if bound else other(condition)


def bounds(all_bounds):
    return " + ".join(map(bound_of, all_bounds))


def bound_of(bound):
    if "trait_bound" in bound:
        return trait(bound["trait_bound"]["trait"])
    return bound["outlives"] if "outlives" in bound else other(bound)


def trait(named):
    return named["path"] + arguments(named["args"])


def arguments(args):
    if args is None:
        return ""
    if "parenthesized" in args:
        inner = args["parenthesized"]
        output = f" -> {text(inner['output'])}" if inner["output"] is not None else ""
        return f"({', '.join(map(text, inner['inputs']))}){output}"
    inner = args["angle_bracketed"]
    shown = [text(next(iter(a.values()))) if "type" in a else str(next(iter(a.values()))) for a in inner["args"]]
    shown += [f"{c['name']}{binding(c['binding'])}" for c in inner["constraints"]]
    return f"<{', '.join(shown)}>" if shown else ""


def binding(bound):
    if "type" in bound.get("equality", {}):
        return " = " + text(bound["equality"]["type"])
    return ": " + bounds(bound["constraint"]) if "constraint" in bound else other(bound)


def text(kind):
    name, inner = next(iter(kind.items())) if isinstance(kind, dict) else (kind, None)
    if name == "resolved_path":
        return trait(inner)
    if name in ("primitive", "generic"):
        return inner
    if name == "borrowed_ref":
        lifetime = f"{inner['lifetime']} " if inner["lifetime"] else ""
        return f"&{lifetime}{'mut ' if inner['is_mutable'] else ''}{text(inner['type'])}"
    if name == "function_pointer":
        return "fn" + signature({**inner, "generics": {"params": [], "where_predicates": []}})
    if name == "tuple":
        return f"({', '.join(map(text, inner))})"
    if name == "slice":
        return f"[{text(inner)}]"
    if name == "array":
        return f"[{text(inner['type'])}; {inner['len']}]"
    if name == "impl_trait":
        return "impl " + bounds(inner)
    if name == "dyn_trait":
        return "dyn " + " + ".join(trait(part["trait"]) for part in inner["traits"])
    if name == "qualified_path":
        return f"{text(inner['self_type'])}::{inner['name']}"
    return other(kind)


def other(value):
    """What is rare is shown as rustdoc has it."""
    return json.dumps(strip(value), sort_keys=True)


def strip(value):
    """Without numbers that change from build to build."""
    if isinstance(value, dict):
        return {key: strip(inner) for key, inner in value.items() if key != "id"}
    return [strip(inner) for inner in value] if isinstance(value, list) else value


main(sys.argv[1])

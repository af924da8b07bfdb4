"""Colours .net files by the TextMate grammar as an editor does, line by line: at
each place the pattern that matches first, of equals the first one. Prints what no
pattern takes and what one calls invalid, and words of the language that are
coloured as something else. Exit status 1 if there is any.

usage: tokenise.py GRAMMAR.json FILE.net .."""
import json
import re
import sys

# Reserved words, and what they must be coloured as.
WORDS = {
    "if": "keyword", "then": "keyword", "else": "keyword",
    "repeat": "keyword", "and": "keyword", "or": "keyword", "not": "keyword",
    "as": "keyword", "except": "keyword", "true": "constant",
    "false": "constant",
}
SECTION = re.compile(r"(?:layer|loss|penalty|init|schedule|optimizer|net|const|"
                     r"data|train|variant|import)\b(?=\s+[A-Za-z_{\"])")


class Pattern:
    def __init__(self, row):
        self.name = row.get("name", "")
        self.match = re.compile(row.get("match") or row["begin"])
        self.end = re.compile(row["end"]) if "end" in row else None
        self.inner = [Pattern(r) for r in row.get("patterns", [])]
        self.captures = {int(k): v["name"]
                         for k, v in row.get("captures", {}).items()}


def first_match(patterns, line, at):
    """(match, pattern) of the leftmost match from `at` on, or None."""
    best = None
    for p in patterns:
        m = p.match.search(line, at)
        if m and m.end() > m.start() and (not best or
                                          m.start() < best[0].start()):
            best = m, p
    return best


def colour(scopes, begin, end, name):
    for i in range(begin, end):
        scopes[i] = name


def tokenise(patterns, line):
    """The scope of each character; '' where none is."""
    scopes, at = [""] * len(line), 0
    while at < len(line):
        found = first_match(patterns, line, at)
        if not found:
            break
        m, p = found
        at = m.end()
        colour(scopes, m.start(), m.end(), p.name)
        for group, name in p.captures.items():
            colour(scopes, m.start(group), m.end(group), name)
        if p.end:
            while True:
                inner = first_match(p.inner, line, at)
                end = p.end.search(line, at)
                if not inner or end.start() <= inner[0].start():
                    break
                colour(scopes, at, inner[0].start(), p.name)
                colour(scopes, inner[0].start(), inner[0].end(),
                       inner[1].name)
                at = inner[0].end()
            colour(scopes, at, end.end(), p.name)
            at = end.end()
    return scopes


def problems(line, scopes):
    for i, c in enumerate(line):
        if not c.isspace() and not scopes[i]:
            yield i, "no pattern takes this"
        elif scopes[i].startswith("invalid"):
            yield i, scopes[i]
    for m in re.finditer(r"[A-Za-z_][A-Za-z_0-9]*", line):
        scope = scopes[m.start()]
        if scope.startswith(("comment", "string")):
            continue
        want = WORDS.get(m[0])
        if want and not scope.startswith(want):
            yield m.start(), f"{m[0]} is coloured as {scope}"
    head = SECTION.match(line)
    if head and not scopes[0].startswith("keyword.control.section"):
        yield 0, f"{head[0]} is coloured as {scopes[0]}"


def main():
    with open(sys.argv[1], encoding="utf-8") as f:
        patterns = [Pattern(r) for r in json.load(f)["patterns"]]
    bad = 0
    for path in sys.argv[2:]:
        with open(path, encoding="utf-8") as f:
            for n, line in enumerate(f.read().split("\n"), 1):
                for column, text in problems(line, tokenise(patterns, line)):
                    print(f"{path}:{n}:{column + 1}: {text}")
                    bad += 1
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/env python3
"""Documents: every link leads to a file and a heading that exist, every page is in the index, every key is one of the program's."""

import os
import re
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
SKIPPED = {".git", "build", "__pycache__", "corpus"}
SECTIONS = ("API", "Collections", "SystemLogs", "TLS", "Keepstore")


def pages():
    for folder, folders, names in os.walk(ROOT):
        folders[:] = [f for f in folders if f not in SKIPPED]
        for name in names:
            if name.endswith(".md"):
                yield os.path.join(folder, name)


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def without_code(text):
    return re.sub(r"(?ms)^ *```.*?^ *```", "", text)


def anchor(heading):
    """As GitHub makes it: lower case, without punctuation, hyphens for spaces."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


def broken_links(path, text):
    for label, target in re.findall(r"\[([^\]]*)\]\(([^)\s]+)\)", without_code(text)):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, wanted = target.partition("#")
        there = os.path.normpath(os.path.join(os.path.dirname(path), name)) if name else path
        if not os.path.exists(there):
            yield f"[{label}]({target}): no such file"
        elif wanted and there.endswith(".md"):
            headings = re.findall(r"(?m)^#+ +(.*)$", without_code(read(there)))
            if wanted not in {anchor(h) for h in headings}:
                yield f"[{label}]({target}): no such heading"


def keys():
    """Section.Key of conf/keepstore.full.yml."""
    found, section = set(), None
    for line in read(os.path.join(ROOT, "conf", "keepstore.full.yml")).splitlines():
        match = re.match(r"( *)(\w+):", line)
        if match and len(match.group(1)) == 4:
            section = match.group(2)
        elif match and len(match.group(1)) > 4 and section:
            found.add(f"{section}.{match.group(2)}")
    return found


class Documents(unittest.TestCase):
    def test_links(self):
        for path in pages():
            with self.subTest(os.path.relpath(path, ROOT)):
                self.assertEqual(list(broken_links(path, read(path))), [])

    def test_the_rule_finds_broken_links(self):
        page = os.path.join(ROOT, "docs", "README.md")
        self.assertEqual(len(list(broken_links(page, "[a](missing.md) [b](recover.md#nothing) [c](#nothing)"))), 3)
        self.assertEqual(list(broken_links(page, "[a](https://example) [b](recover.md#a-full-disk) [c](../README.md)")), [])

    def test_the_index_has_every_page(self):
        index = read(os.path.join(ROOT, "docs", "README.md"))
        missing = [n for n in os.listdir(os.path.join(ROOT, "docs"))
                   if n.endswith(".md") and n != "README.md" and f"({n}" not in index]
        self.assertEqual(missing, [])

    def test_keys(self):
        known = keys()
        self.assertIn("Collections.BlobSigningKey", known)
        for path in pages():
            for name in re.findall(rf"`((?:{'|'.join(SECTIONS)})\.[A-Z]\w+)\b", read(path)):
                with self.subTest(os.path.relpath(path, ROOT), key=name):
                    self.assertIn(name, known | {"TLS.ACME"})


if __name__ == "__main__":
    unittest.main(verbosity=2)

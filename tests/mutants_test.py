#!/usr/bin/env python3
"""The mutants of tests/mutants fit the tree: what they replace is there once, and the tests they name are registered."""

import os
import re
import shutil
import subprocess
import tempfile
import tomllib
import unittest

TESTS = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(TESTS)
FOLDER = os.path.join(TESTS, "mutants")
KEYS = {"row", "breaks", "file", "old", "new", "build", "tests"}
# Kinds of faults: the list that has their mutants, and how many rows the kind has (F has one, without a number).
FAULTS = {"A": ("memory", 6), "B": ("volumes", 12), "C": ("bytes", 8), "D": ("s3", 8), "E": ("process", 9), "F": ("volumes", 0)}


def read(path):
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.read()


def sources(*endings):
    for folder, _, names in os.walk(TESTS):
        for name in sorted(names):
            if name.endswith(endings):
                yield os.path.join(folder, name)


def literal(text):
    """The string at the start of this text, of one literal or several in a row."""
    parts = re.match(r'\s*((?:"(?:[^"\\]|\\.)*"\s*)+)', text)
    return "".join(re.findall(r'"((?:[^"\\]|\\.)*)"', parts.group(1))).replace('\\"', '"').replace("\\\\", "\\") if parts else ""


def registered_tests(lists, files):
    """Names of tests as ctest knows them, from the texts of the CMake files and of the C++ files (a dict of paths)."""
    names, labels = set(), {}
    for text in lists:
        text = re.sub(r"#.*", "", text)
        for block in re.findall(r"keepstore_test\(([^)]*)\)", text):
            label = re.search(r"\bLABEL (\w+)", block)
            for source in re.findall(r"[\w/.-]+\.cpp", block):
                labels[source] = label.group(1) if label else "unit"
        names.update(re.findall(r"add_test\(NAME ([\w.]+)\s", text))
        names.update("system." + name for name in re.findall(r"keepstore_system_test\((\w+)", text))
        names.update("fuzz." + name for name in re.findall(r"keepstore_fuzz\((\w+)", text))
    for path, text in files.items():
        for case in re.finditer(r"^\s*(TEMPLATE_LIST_TEST_CASE|TEST_CASE)\(", text, re.MULTILINE):
            # A case for a list of types has a number; headers have those that all drivers share.
            number = " - 0" if case.group(1) != "TEST_CASE" else ""
            names.add(f"{labels.get(path, 'contract')}.{literal(text[case.end():case.end() + 400])}{number}")
    return names


def complaints(name, mutants, names, root):
    """What is wrong with the mutants of the list tests/mutants/NAME.toml."""
    for mutant in mutants:
        where = f"{name}.toml, {mutant.get('row')}, {mutant.get('breaks')}"
        if set(mutant) != KEYS:
            yield f"{where}: keys {sorted(KEYS ^ set(mutant))}"
            continue
        fault = re.fullmatch(r"([A-F])(\d*)", mutant["row"])
        if fault:
            kind, number = FAULTS[fault.group(1)], fault.group(2)
            if kind[0] != name or not (1 <= int(number) <= kind[1] if number else kind[1] == 0):
                yield f"{where}: not a row of this list"
        elif not re.fullmatch(rf"{name}(-[a-z0-9-]+)?", mutant["row"]):
            yield f"{where}: the row is not known"
        path = os.path.join(root, mutant["file"])
        count = read(path).count(mutant["old"]) if os.path.isfile(path) else -1
        if count != 1:
            yield f"{where}: {mutant['file']} " + ("does not exist" if count < 0 else f"contains `old` {count} times")
        if mutant["old"] == mutant["new"]:
            yield f"{where}: changes nothing"
        if not mutant["build"]:
            yield f"{where}: builds nothing"
        # What Python understands and CMake does not.
        if re.search(r"\\[a-zA-Z]|\{\d|\(\?", mutant["tests"]):
            yield f"{where}: not an expression of CMake: {mutant['tests']}"
        elif not any(re.search(mutant["tests"], test) for test in names):
            yield f"{where}: no test is named {mutant['tests']}"


def load(path):
    with open(path, "rb") as file:
        return tomllib.load(file)["mutant"]


class TheMutants(unittest.TestCase):
    maxDiff = None

    def test_they_fit_the_tree(self):
        names = registered_tests([read(p) for p in sources(".cmake", ".txt")],
                                 {os.path.relpath(p, TESTS): read(p) for p in sources(".cpp", ".hpp")})
        found = []
        for file in sorted(os.listdir(FOLDER)):
            if file.endswith(".toml"):
                name = file.removesuffix(".toml")
                found += complaints(name, load(os.path.join(FOLDER, file)), names, ROOT)
        self.assertEqual(found, [])


class TheRules(unittest.TestCase):
    GOOD = {"row": "A1", "breaks": "b", "file": "tests/mutants_test.py", "old": "class The" "Rules", "new": "class X",
            "build": ["store_tests"], "tests": r"^unit\.a sentence$"}

    def found(self, name="memory", **changes):
        return list(complaints(name, [self.GOOD | changes], {"unit.a sentence", "system.test_a"}, ROOT))

    def test_each_finds_what_it_is_for(self):
        self.assertEqual(self.found(), [])
        self.assertEqual(self.found("memory", row="memory-lease"), [])
        for name, changes, part in (
                ("volumes", {}, "not a row"), ("memory", {"row": "A7"}, "not a row"), ("memory", {"row": "A"}, "not a row"),
                ("memory", {"row": "pulls"}, "not known"), ("memory", {"file": "absent.cpp"}, "does not exist"),
                ("memory", {"old": "class "}, "times"), ("memory", {"new": "class The" "Rules"}, "changes nothing"),
                ("memory", {"build": []}, "builds nothing"), ("memory", {"tests": r"^unit\.\w+$"}, "expression"),
                ("memory", {"tests": r"^unit\.a sentence more$"}, "no test"), ("memory", {"other": 1}, "keys")):
            with self.subTest(part=part, changes=changes):
                found = self.found(name, **changes)
                self.assertTrue(any(part in line for line in found), found)

    def test_names_of_tests(self):
        names = registered_tests(
            ["keepstore_test(a SOURCES a/b.cpp LABEL fast)\nkeepstore_test(c SOURCES c.cpp LINK x)\n# keepstore_system_test(no)\n"
             "keepstore_system_test(test_d COST 3)\nadd_test(NAME unit.tidy COMMAND x)\nkeepstore_fuzz(e LINK y)"],
            {"a/b.cpp": 'TEST_CASE("one \\"two\\"", "[a]") {}\nTEST_CASE("next", "[a]") {',
             "c.cpp": 'TEST_CASE("long "\n          "name", "[c]") {',
             "f.hpp": 'TEMPLATE_LIST_TEST_CASE("all drivers", "[f]", makers)'})
        self.assertEqual(names, {'fast.one "two"', "fast.next", "unit.long name", "contract.all drivers - 0", "system.test_d",
                                 "unit.tidy", "fuzz.e"})


# A build that fails for what does not compile, does nothing if nothing changed, and a ctest with one test.
BUILD = """#!/bin/sh
grep -q 'no C++' a.cpp && { echo 'a.cpp:1: error: no'; exit 1; }
cmp -s a.cpp built && echo 'ninja: no work to do.'
grep -q comment a.cpp && echo 'ninja: no work to do.'
cp a.cpp built
"""
CTEST = """#!/bin/sh
for last; do :; done
[ "$last" = '^unit\\.a$' ] || last=
status=run
grep -q 'wrong' built && status=fail
echo "<s><testcase name='${last:+unit.a}' status='$status'/><testcase name='system.server_start' status='fail'/></s>" >build/mutate.xml
"""


@unittest.skipUnless(shutil.which("git"), "the tool asks git which files have changed")
class TheTool(unittest.TestCase):
    def setUp(self):
        self.root = tempfile.mkdtemp(prefix="keepstore-mutate-")
        self.addCleanup(shutil.rmtree, self.root)
        self.write("scripts/build", BUILD)
        self.write("bin/ctest", CTEST)
        self.write("a.cpp", "right;\n")
        self.write(".gitignore", "build/\nbuilt\n")
        for folder in ("tests/mutants", "build"):
            os.makedirs(os.path.join(self.root, folder))
        shutil.copy(os.path.join(ROOT, "scripts", "mutate"), os.path.join(self.root, "scripts"))
        for command in (["init", "-q"], ["add", "."], ["-c", "user.name=t", "-c", "user.email=t@t", "commit", "-qm", "t"]):
            subprocess.run(["git", *command], cwd=self.root, check=True)

    def write(self, path, text):
        path = os.path.join(self.root, path)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(path, 0o755)

    def mutate(self, new, tests=r"^unit\.a$"):
        self.write("tests/mutants/a.toml", f"[[mutant]]\nrow = 'a'\nbreaks = 'b'\nfile = 'a.cpp'\nold = 'right'\n"
                                           f"new = '{new}'\nbuild = ['x']\ntests = '{tests}'\n")
        path = os.path.join(self.root, "bin") + ":" + os.environ["PATH"]
        done = subprocess.run([os.path.join(self.root, "scripts/mutate")], env=os.environ | {"PATH": path}, check=False,
                              capture_output=True, text=True)
        return done.returncode, done.stdout + done.stderr

    def test_it_tells_results_apart_and_restores_the_file(self):
        for new, tests, code, part in (("wrong", r"^unit\.a$", 0, "killed"), ("other", r"^unit\.a$", 1, "SURVIVED"),
                                       ("no C++", r"^unit\.a$", 1, "does not build"),
                                       ("comment", r"^unit\.a$", 1, "no change"), ("wrong", r"^unit\.b$", 1, "no test")):
            with self.subTest(part=part):
                result, output = self.mutate(new, tests)
                self.assertEqual(result, code, output)
                self.assertIn(part + " (", output)
                self.assertEqual(read(os.path.join(self.root, "a.cpp")), "right;\n")

    def test_it_does_not_begin_on_changed_or_failing_sources(self):
        self.write("a.cpp", "right; changed\n")
        self.assertIn("differs from the last commit", self.mutate("wrong")[1])
        self.write("a.cpp", "wrong, right;\n")
        self.assertIn("fails without a mutant", self.mutate("worse")[1])


if __name__ == "__main__":
    unittest.main()

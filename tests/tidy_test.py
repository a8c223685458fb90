#!/usr/bin/env python3
"""What the compiler does not check about the source tree: which layer may include which, that every file is built and
every test is run, and a few house rules. Each rule is also tried on a tree that breaks it."""

import os
import re
import sys
import tempfile
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

# A layer and those it may include (docs/ARCHITECTURE.md). Nothing includes upwards. A file belongs to the longest of these
# that is its path or a folder above it.
NET = {"net/limits", "net/http", "net/tls", "net/client"}
LAYERS = {
    "base": set(),
    "digest": {"base"},
    "pool": {"base"},
    "net/limits": {"base"},
    "net/http": {"net/limits", "base"},
    "net/tls": {"net/http", "net/limits", "base"},
    "net/client": {"net/tls", "net/http", "net/limits", "base"},
    "net/server": {"net/tls", "net/http", "net/limits", "base"},
    "cloud": NET | {"base"},
    "s3": NET | {"cloud", "digest", "base"},
    "azure": NET | {"cloud", "base"},
    "protocol": NET | {"pool", "digest", "base"},
    "cluster_config": {"protocol", "net/limits", "base"},
    "volumes": NET | {"digest", "base"},
    "volumes/cloud": NET | {"volumes", "cloud", "digest", "base"},
    "volumes/s3": NET | {"volumes/cloud", "volumes", "s3", "cloud", "digest", "base"},
    "volumes/azure": NET | {"volumes/cloud", "volumes", "azure", "cloud", "digest", "base"},
    # What knows configuration files is a target of its own: drivers do without.
    "volumes/driver": {"volumes", "cluster_config"},
    "volumes/directory/driver": {"volumes/driver", "volumes", "cluster_config"},
    "volumes/s3/driver": {"volumes/driver", "volumes/s3", "volumes", "s3", "cloud", "cluster_config"},
    "volumes/azure/driver": {"volumes/driver", "volumes/azure", "volumes", "azure", "cloud", "cluster_config"},
    "volumes/factory": {"volumes", "volumes/directory/driver", "volumes/s3/driver", "volumes/azure/driver",
                        "volumes/driver", "cluster_config", "base"},
    "reports": NET | {"reports/memory_limits", "volumes/factory", "volumes/directory/driver", "volumes/s3/driver",
                      "volumes/azure/driver",
                      "volumes/s3", "volumes/azure", "volumes/cloud", "volumes", "cluster_config", "protocol", "s3",
                      "azure", "cloud", "base"},
    # The sum of what all rooms may hold in memory.
    "reports/memory_limits": {"net/limits", "protocol", "store", "volumes/cloud", "volumes", "base"},
    # The operator's tool: nothing of store, router and daemon.
    "keepctl/cluster": NET | {"volumes/factory", "volumes/driver", "volumes/s3", "volumes", "cluster_config", "protocol",
                              "s3", "azure", "cloud", "pool", "digest", "base"},
    "keepctl/replicate": NET | {"keepctl/cluster", "protocol", "pool", "digest", "base"},
    "keepctl/balance": NET | {"keepctl/cluster", "cluster_config", "protocol", "s3", "cloud", "digest", "base"},
    "keepctl/clone": NET | {"keepctl/cluster", "volumes/s3", "volumes/azure", "volumes/cloud", "volumes", "protocol", "s3",
                            "azure", "cloud", "pool", "digest", "base"},
    "keepctl/snapshot": NET | {"keepctl/replicate", "keepctl/cluster", "cluster_config", "s3", "cloud", "digest",
                               "base"},
    "keepctl/commands": NET | {"keepctl/balance", "keepctl/clone", "keepctl/replicate", "keepctl/snapshot",
                               "keepctl/cluster", "reports",
                               "volumes/factory", "volumes/s3", "volumes/azure", "volumes",
                               "cluster_config", "protocol", "s3", "azure", "cloud", "pool", "digest", "base"},
    "store": NET | {"volumes", "protocol", "pool", "digest", "base"},
    "router": {"store", "protocol", "net/server", "net/http", "pool", "base"},
    "daemon": NET | {"reports", "router", "store", "volumes/factory", "volumes/driver", "volumes/s3", "volumes",
                     "cluster_config", "protocol", "s3", "azure", "cloud", "net/server", "pool", "digest", "base"},
    "bench": {"digest", "base"},
}
# The store knows the interface; which drivers there are is the factory's business.
STORE_SEES_OF_VOLUMES = {"volumes/volume.hpp", "volumes/trash_rule.hpp", "volumes/limits.hpp"}
LINES_MAX = 700
SOURCE = (".cpp", ".hpp", ".c", ".inc")
TEXT = SOURCE + (".py", ".cmake", ".txt", ".md", ".yml", ".json", "")
SKIPPED_FOLDERS = {".git", "build", "__pycache__", "corpus", ".cache"}
# In two parts, so that this file does not contain them.
UNFINISHED = re.compile(r"\b(TO" r"DO|FIX" r"ME|XX" r"X)\b")
INCLUDE = re.compile(r'^\s*#\s*include\s+(?:"([^"]+)"|<([^>]+)>)', re.MULTILINE)


def files(root, *endings):
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(f for f in folders if f not in SKIPPED_FOLDERS)
        for name in sorted(names):
            path = os.path.relpath(os.path.join(folder, name), root)
            if os.path.splitext(name)[1] in endings:
                yield path


def read(root, path):
    with open(os.path.join(root, path), encoding="utf-8", errors="replace") as file:
        return file.read()


def layer_of(path):
    place = os.path.splitext(path)[0]
    while place and place not in LAYERS:
        place = os.path.dirname(place)
    return place or path.split("/")[0]


def check_layers(root):
    for path in files(root, *SOURCE):
        layer = layer_of(path)
        for quoted, angled in INCLUDE.findall(read(root, path)):
            if layer in LAYERS and angled.startswith("boost/beast") and layer != "net/server":
                yield f"{path} includes <{angled}>: only net/server/ knows Beast"
            if layer not in LAYERS or not quoted:
                continue
            if not os.path.exists(os.path.join(root, quoted)):
                yield f'{path} includes "{quoted}", which is not a path from the root'
            other = layer_of(quoted)
            if other != layer and other not in LAYERS[layer]:
                yield f'{path} includes "{quoted}": {layer}/ is not above {other}/'
            if layer == "store" and other == "volumes" and quoted not in STORE_SEES_OF_VOLUMES:
                yield f'{path} includes "{quoted}": the store knows the interface of volumes only'


def named_files(root, *lists):
    """The files named in these CMake files, as paths from the root. A name counts from the list's folder or tests/."""
    found = set()
    for path in lists:
        folder = "tests" if path.startswith("tests/") else os.path.dirname(path)
        # Comments name files too.
        text = re.sub(r"#.*", "", read(root, path))
        for name in re.findall(r"[\w./-]+\.(?:cpp|c)\b", text):
            found.add(os.path.normpath(os.path.join(folder, name)))
            found.add(name)
    return found


def check_everything_is_built(root):
    built = named_files(root, *(p for p in files(root, ".txt", ".cmake") if os.path.basename(p) != "options.cmake"))
    for path in files(root, ".cpp", ".c"):
        if layer_of(path) not in LAYERS and not path.startswith("tests/"):
            continue
        if not path.startswith("tests/fuzz/fuzz_") and path not in built:
            yield f"{path} is not named in any CMake file: it is not built"


def check_every_test_runs(root):
    text = "\n".join(re.sub(r"#.*", "", read(root, p)) for p in files(root, ".cmake", ".txt") if p.startswith("tests/"))
    for path in files(root, ".py", ".cpp"):
        name = os.path.splitext(os.path.basename(path))[0]
        if path.startswith("tests/system/test_") and not re.search(rf"keepstore_system_test\({name}\b", text):
            yield f"{path} is not run: name it in tests/system/tests.cmake"
        if path.startswith("tests/fuzz/fuzz_"):
            target = name.removeprefix("fuzz_")
            if not re.search(rf"keepstore_fuzz\({target}\b", text):
                yield f"{path} is not run: name it in tests/fuzz/tests.cmake"
            seeds = os.path.join(root, "tests/fuzz/corpus", target)
            if not os.path.isdir(seeds) or not os.listdir(seeds):
                yield f"{path} has no seeds in tests/fuzz/corpus/{target}"
        if path.startswith("tests/") and path.endswith(".cpp"):
            for case in re.findall(r'^\s*(?:TEMPLATE_LIST_)?TEST_CASE\(\s*"((?:[^"\\]|\\.|"\s*")*)"', read(root, path), re.MULTILINE):
                if ";" in case:
                    yield f'{path}: "{case}" is not run: CMake takes it for two names, which match no case'
    for path in files(root, ".cmake"):
        if path.startswith("tests/") and path.endswith("/tests.cmake"):
            if f"include({os.path.relpath(path, 'tests')})" not in read(root, "tests/CMakeLists.txt"):
                yield f"{path} is not included by tests/CMakeLists.txt"


def check_house_rules(root):
    for path in files(root, *TEXT):
        text = read(root, path)
        count = text.count("\n")
        if count > LINES_MAX and os.path.splitext(path)[1] in SOURCE + (".py", ".cmake", ".txt"):
            yield f"{path} has {count} lines, more than {LINES_MAX}"
        for number, line in enumerate(text.splitlines(), 1):
            if UNFINISHED.search(line) and not path.startswith(".git"):
                yield f"{path}:{number} marks unfinished work"
        if path.endswith(".hpp") and "#pragma once" not in text:
            yield f"{path} has no #pragma once"
        if path.startswith(("scripts/", ".ci/")):
            runs = text.startswith("#!")
            if runs != os.access(os.path.join(root, path), os.X_OK):
                yield f"{path} is {'a script and not executable' if runs else 'executable and no script'}"
            if text.startswith("#!/bin/bash") and "set -euo pipefail" not in text:
                yield f"{path} goes on after errors: set -euo pipefail"


class TheTree(unittest.TestCase):
    maxDiff = None

    def test_layers_include_downwards_only(self):
        self.assertEqual(list(check_layers(ROOT)), [])

    def test_every_source_is_built(self):
        self.assertEqual(list(check_everything_is_built(ROOT)), [])

    def test_every_test_runs(self):
        self.assertEqual(list(check_every_test_runs(ROOT)), [])

    def test_house_rules(self):
        self.assertEqual(list(check_house_rules(ROOT)), [])


class TheRules(unittest.TestCase):
    """Each rule finds what it is for."""

    def complaints(self, check, tree):
        with tempfile.TemporaryDirectory(prefix="keepstore-tidy-") as root:
            for path, text in tree.items():
                os.makedirs(os.path.join(root, os.path.dirname(path)), exist_ok=True)
                with open(os.path.join(root, path), "w", encoding="utf-8") as file:
                    file.write(text)
            return list(check(root))

    def assert_found(self, check, tree, *what):
        found = self.complaints(check, tree)
        self.assertEqual(len(found), len(what), found)
        for complaint, part in zip(found, what):
            self.assertIn(part, complaint)

    def test_layers(self):
        tree = {"base/a.hpp": "", "volumes/volume.hpp": "", "volumes/directory/b.hpp": "", "router/r.hpp": "",
                "store/k.hpp": '#include "base/a.hpp"\n#include "volumes/volume.hpp"\n#include <vector>\n'}
        self.assert_found(check_layers, tree)
        self.assert_found(check_layers, tree | {"base/x.cpp": '#include "router/r.hpp"'}, "base/ is not above router/")
        self.assert_found(check_layers, tree | {"pool/x.cpp": '  #  include "volumes/volume.hpp"'}, "pool/ is not above")
        self.assert_found(check_layers, tree | {"store/x.hpp": '#include "volumes/directory/b.hpp"'}, "interface")
        self.assert_found(check_layers, tree | {"base/x.hpp": '#include "a.hpp"'}, "not a path", "not above")
        self.assert_found(check_layers, tree | {"volumes/factory.hpp": '#include "volumes/volume.hpp"'})
        self.assert_found(check_layers, tree | {"volumes/factory.hpp": "", "volumes/directory/x.hpp": '#include "volumes/factory.hpp"'},
                          "volumes/ is not above volumes/factory/")
        self.assert_found(check_layers, tree | {"store/x.hpp": "#include <boost/beast/http.hpp>"}, "Beast")
        self.assert_found(check_layers, tree | {"net/server/x.hpp": "#include <boost/beast/http.hpp>"})

    def test_built(self):
        tree = {"base/CMakeLists.txt": "module(base SOURCES a.cpp)  # b.cpp", "base/a.cpp": "",
                "tests/base/tests.cmake": "test(base/a_test.cpp)", "tests/base/a_test.cpp": ""}
        self.assert_found(check_everything_is_built, tree)
        self.assert_found(check_everything_is_built, tree | {"base/b.cpp": ""}, "base/b.cpp")
        self.assert_found(check_everything_is_built, tree | {"tests/base/b_test.cpp": ""}, "tests/base/b_test.cpp")

    def test_run(self):
        tree = {"tests/CMakeLists.txt": "include(system/tests.cmake)\ninclude(fuzz/tests.cmake)\n",
                "tests/system/tests.cmake": "keepstore_system_test(test_a TIMEOUT 3)\n", "tests/system/test_a.py": "",
                "tests/fuzz/tests.cmake": "keepstore_fuzz(a LINK x)\n", "tests/fuzz/fuzz_a.cpp": "",
                "tests/fuzz/corpus/a/seed": "x"}
        self.assert_found(check_every_test_runs, tree)
        self.assert_found(check_every_test_runs, tree | {"tests/system/test_ab.py": ""}, "test_ab.py is not run")
        self.assert_found(check_every_test_runs, tree | {"tests/fuzz/fuzz_b.cpp": ""}, "is not run", "has no seeds")
        self.assert_found(check_every_test_runs, tree | {"tests/pool/tests.cmake": ""}, "is not included")
        cases = 'TEST_CASE("a, b", "[a]") {}\nTEST_CASE("a "\n          "b; c", "[a]") {'
        self.assert_found(check_every_test_runs, tree | {"tests/a_test.cpp": cases}, "it for two names")

    def test_house_rules(self):
        self.assert_found(check_house_rules, {"base/a.hpp": "#pragma once\n" + "\n" * 650})
        self.assert_found(check_house_rules, {"base/a.cpp": "\n" * 701}, "701 lines")
        self.assert_found(check_house_rules, {"base/a.cpp": "int a;\n// TO" "DO: b\n"}, "base/a.cpp:2")
        self.assert_found(check_house_rules, {"base/a.hpp": "int a;\n"}, "#pragma once")
        self.assert_found(check_house_rules, {"scripts/a": "#!/bin/bash\nset -euo pipefail\n"}, "not executable")
        self.assert_found(check_house_rules, {"scripts/a": "#!/bin/bash\n"}, "not executable", "goes on after errors")


if __name__ == "__main__":
    sys.exit(unittest.main(verbosity=1))

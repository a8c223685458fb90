#!/usr/bin/env python3
"""bench/scenarios/charts.py: bars are as long as their values, everything is inside the picture, and docs/ has what is drawn."""

import json
import os
import re
import sys
import unittest
import xml.etree.ElementTree as ElementTree

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, ROOT)

from bench.scenarios.charts import LEFT, WIDTH, bar_chart, charts, number  # noqa: E402

SVG = "{http://www.w3.org/2000/svg}"


class Charts(unittest.TestCase):
    def test_bars_are_as_long_as_their_values_say(self):
        root = ElementTree.fromstring(bar_chart("T", "MB/s", "limit", [("a", 100, 50), ("b", 25, None), ("c", 0, 100)]))
        widths = [float(r.get("width")) for r in root.iter(SVG + "rect")]
        self.assertAlmostEqual(widths[0] / widths[1], 4, places=1)
        self.assertEqual(widths[2], 0)
        marks = [(float(m.get("x1")) - LEFT) for m in root.iter(SVG + "line")][1:]
        self.assertEqual(len(marks), 2)
        self.assertAlmostEqual(marks[1] / marks[0], 2, places=1)
        self.assertAlmostEqual(marks[1], widths[0], places=1)

    def test_everything_is_inside_the_picture(self):
        root = ElementTree.fromstring(bar_chart("T", "u", "m", [(f"row {i}", 10.0 ** i, 3.0 ** i) for i in range(7)]))
        height = float(root.get("height"))
        for element in root.iter():
            for name in ("x", "x1", "x2"):
                if element.get(name):
                    self.assertTrue(0 <= float(element.get(name)) <= WIDTH - (40 if element.tag == SVG + "text" else 0))
            for name in ("y", "y1", "y2"):
                if element.get(name):
                    self.assertTrue(0 <= float(element.get(name)) <= height)

    def test_labels_are_text_and_not_markup(self):
        svg = bar_chart("a < b & \"c\"", "u", "<m>", [("<script>", 1, 1)])
        texts = ["".join(t.itertext()) for t in ElementTree.fromstring(svg).iter(SVG + "text")]
        self.assertIn("<script>", texts)
        self.assertIn("a < b & \"c\", u", texts)

    def test_numbers(self):
        self.assertEqual([number(v) for v in (0.3333, 1.234, 56.78, 5112.4)], ["0.333", "1.23", "56.8", "5,112"])

    def test_a_run_without_figures_of_a_kind_has_no_chart_of_it(self):
        self.assertEqual(charts([]), {})
        self.assertEqual(set(charts([{"what": "x", "rss_mib": 3}])), {"memory.svg"})

    def test_the_charts_of_the_documents_are_drawn_from_their_figures(self):
        with open(os.path.join(ROOT, "docs", "performance.json"), encoding="utf-8") as file:
            figures = json.load(file)["figures"]
        with open(os.path.join(ROOT, "docs", "performance.md"), encoding="utf-8") as file:
            document = file.read()
        drawn = charts(figures)
        self.assertEqual(set(drawn), {"throughput.svg", "cpu.svg", "memory.svg"})
        for name, svg in drawn.items():
            with self.subTest(name):
                self.assertIn(f"(images/{name})", document)
                with open(os.path.join(ROOT, "docs", "images", name), encoding="utf-8") as file:
                    self.assertEqual(file.read(), svg, "run scripts/bench --charts-of docs/performance.json docs/images")
        for figure in figures:
            for value in (figure.get("mb_per_s"), figure.get("rss_mib")):
                if value is not None:
                    self.assertRegex(document, rf"(?<![\d,]){re.escape(f'{value:,}')}(?![\d,])", figure["what"])


if __name__ == "__main__":
    unittest.main(verbosity=2)

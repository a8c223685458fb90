"""Bar charts of a run's figures, as SVG files that need nothing else: readable on a light and on a dark page, and with every
number as text."""

from xml.sax.saxutils import escape, quoteattr

WIDTH, LEFT, RIGHT = 860, 300, 130
ROW, BAR, TOP, BOTTOM = 26, 15, 64, 16

STYLE = """
text { font: 13px sans-serif; fill: #1f2328; }
.title { font-size: 15px; font-weight: bold; }
.bar { fill: #3b76c4; }
.mark { stroke: #b3261e; stroke-width: 2.5; }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3; }
  .bar { fill: #6ca0e8; }
  .mark { stroke: #ff8a80; }
}
"""


def number(value):
    """A figure as text: three digits, or all of a large one."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def bar_chart(title, unit, mark_text, rows):
    """One bar for each of `rows`: (label, value, mark or None). A mark is what the value is to be compared with, for example
    a limit; `mark_text` says what it is."""
    height = TOP + ROW * len(rows) + BOTTOM
    longest = max([v for _, v, _ in rows] + [m for _, _, m in rows if m] + [1e-9])
    scale = (WIDTH - LEFT - RIGHT) / longest
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" '
             f'role="img" aria-label={quoteattr(title)}>',
             f"<title>{escape(title)}</title>",
             f"<style>{STYLE}</style>",
             f'<text class="title" x="12" y="24">{escape(title)}, {escape(unit)}</text>']
    if any(mark for _, _, mark in rows):
        parts.append(f'<line class="mark" x1="16" y1="36" x2="16" y2="51"/><text x="26" y="48">{escape(mark_text)}</text>')
    for i, (label, value, mark) in enumerate(rows):
        y = TOP + i * ROW
        base = y + BAR - 3
        length = value * scale
        parts.append(f'<text x="{LEFT - 8}" y="{base}" text-anchor="end">{escape(label)}</text>')
        parts.append(f'<rect class="bar" x="{LEFT}" y="{y}" width="{length:.1f}" height="{BAR}"/>')
        text = number(value) + (f" ({value / mark:.2g} ×)" if mark else "")
        end = max(length, (mark or 0) * scale)
        parts.append(f'<text x="{LEFT + end + 8:.1f}" y="{base}">{escape(text)}</text>')
        if mark:
            x = LEFT + mark * scale
            parts.append(f'<line class="mark" x1="{x:.1f}" y1="{y - 3}" x2="{x:.1f}" y2="{y + BAR + 3}"/>')
    parts.append("</svg>")
    return "\n".join(parts) + "\n"


def charts(figures):
    """{file name: SVG} of the figures of a run (runner.Bench.figures); those without a figure are left out."""
    def rows(value, mark):
        return [(f["what"], f[value], f.get(mark)) for f in figures if value in f]

    drawn = {
        "throughput.svg": bar_chart("Throughput of large blocks", "MB/s", "one MD5 stream in the same run",
                                    rows("mb_per_s", "md5_mb_per_s")),
        "cpu.svg": bar_chart("CPU time of the daemon", "CPU-s/GiB", "sum of the unavoidable steps in the same run",
                             rows("cpu_s_per_gib", "steps_cpu_s_per_gib")),
        "memory.svg": bar_chart("Resident memory with many slow clients, at its peak", "MiB", "512 MiB",
                                rows("rss_mib", "rss_mib_max")),
    }
    return {name: svg for name, svg in drawn.items() if "<rect" in svg}

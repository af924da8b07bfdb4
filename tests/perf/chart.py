"""A picture of the timings: SVG, by hand, so that it needs no package. A group of
bars for each network and batch; a bar's length is the time over netc's, on a
logarithmic axis, so netc's own is the line at 1."""

from xml.sax.saxutils import escape

COLOURS = ["#4477aa", "#66ccee", "#228833", "#ccbb44", "#ee6677", "#aa3377"]
LEFT, RIGHT, TOP, BAR, GAP, WIDTH = 190, 60, 66, 11, 12, 860
TICKS = [0.5, 1, 2, 5, 10, 20, 50]


def svg(title, groups, names):
    """groups: [(label, {name: ratio})]; names: those that have a bar, in order."""
    from math import log

    most = max([r for _, g in groups for r in g.values()] + [2])
    ticks = [t for t in TICKS if t <= most * 1.2]
    low, high = log(ticks[0]), log(max(most * 1.1, ticks[-1]))

    def x(ratio):
        at = (log(max(ratio, ticks[0])) - low) / (high - low)
        return LEFT + at * (WIDTH - LEFT - RIGHT)

    height = TOP + 24 + sum(len(g) * BAR + GAP for _, g in groups)
    out = ['<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" '
           'font-family="sans-serif" font-size="12">' % (WIDTH, height),
           '<rect width="100%" height="100%" fill="white"/>',
           '<text x="10" y="20" font-size="14">%s</text>' % escape(title)]
    for i, name in enumerate(names):
        at = LEFT + i * 150
        out.append('<rect x="%d" y="32" width="10" height="10" fill="%s"/>'
                   '<text x="%d" y="42">%s</text>' %
                   (at, COLOURS[i % len(COLOURS)], at + 15, escape(name)))
    for t in ticks:
        out.append('<line x1="%.1f" x2="%.1f" y1="%d" y2="%d" stroke="%s"/>'
                   '<text x="%.1f" y="%d" text-anchor="middle" '
                   'fill="#555">%g</text>' %
                   (x(t), x(t), TOP - 4, height - 20,
                    "#000" if t == 1 else "#ddd", x(t), height - 6, t))
    y = TOP
    for label, g in groups:
        out.append('<text x="%d" y="%.1f" text-anchor="end">%s</text>' %
                   (LEFT - 8, y + len(g) * BAR / 2 + 4, escape(label)))
        for i, name in enumerate(names):
            if name not in g:
                continue
            a, b = sorted((x(1), x(g[name])))
            out.append('<rect x="%.1f" y="%d" width="%.1f" height="%d" '
                       'fill="%s"/><text x="%.1f" y="%d" font-size="9">%.2f'
                       '</text>' % (a, y, max(b - a, 1), BAR - 1,
                                    COLOURS[i % len(COLOURS)], b + 3,
                                    y + BAR - 2, g[name]))
            y += BAR
        y += GAP
    return "\n".join(out + ["</svg>"]) + "\n"

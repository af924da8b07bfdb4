"""A picture of the timings: SVG, by hand, so that it needs no package. A panel for
each network, in it a row for each batch and number of cores, in that a dot for each
peer: how many times netc's time it takes, on a logarithmic axis. netc itself is the
line at 1; the number is that of the best peer."""

from math import log
from xml.sax.saxutils import escape

COLOURS = ["#4477aa", "#66ccee", "#228833", "#ee6677", "#aa3377", "#ccbb44"]
WIDTH, LEFT, RIGHT, TOP = 820, 150, 30, 92
ROW, HEAD, GAP, DOT = 19, 26, 10, 5
TICKS = [0.25, 0.5, 1, 2, 5, 10, 20, 50, 100]


def text(x, y, s, **style):
    more = "".join(' %s="%s"' % (k.replace("_", "-"), v)
                   for k, v in style.items())
    return '<text x="%.1f" y="%.1f"%s>%s</text>' % (x, y, more, escape(s))


def line(x, y0, y1, colour, width=1):
    return ('<line x1="%.1f" x2="%.1f" y1="%.1f" y2="%.1f" stroke="%s" '
            'stroke-width="%g"/>' % (x, x, y0, y1, colour, width))


def rect(x, y, w, h, colour):
    return ('<rect x="%.1f" y="%.1f" width="%.1f" height="%.1f" fill="%s"/>' %
            (x, y, w, h, colour))


def scale_of(ratios):
    """The ticks, and from a ratio to its place."""
    least, most = min(ratios + [0.9]), max(ratios + [2])
    low = max([t for t in TICKS if t <= least * 0.75] or TICKS[:1])
    high = min([t for t in TICKS if t >= most] or TICKS[-1:])

    def place(ratio):
        share = log(min(max(ratio, low), high) / low) / log(high / low)
        return LEFT + share * (WIDTH - LEFT - RIGHT)

    return [t for t in TICKS if low <= t <= high], place


def legend(names, colour):
    at, out = LEFT, []
    for name in names:
        out.append('<circle cx="%.1f" cy="58" r="%d" fill="%s"/>' %
                   (at + DOT, DOT, colour[name]))
        out.append(text(at + 3 * DOT, 62, name))
        at += 34 + 7 * len(name)
    return out


def row(y, label, dots, place, colour):
    out = [text(LEFT - 10, y + 14, label, text_anchor="end", fill="#444")]
    best = min(dots, key=dots.get) if dots else None
    for name, ratio in sorted(dots.items(), key=lambda d: -d[1]):
        out.append('<circle cx="%.1f" cy="%.1f" r="%d" fill="%s" '
                   'stroke="white"/>' % (place(ratio), y + ROW / 2, DOT,
                                         colour[name]))
    if best:
        out.append(text(place(dots[best]) - DOT - 3, y + 14,
                        ("%.2f" if dots[best] < 2 else "%.1f") % dots[best],
                        text_anchor="end", fill="#222", font_size=10,
                        stroke="white", stroke_width=3, paint_order="stroke"))
    return out


def svg(title, machine, panels, names):
    """panels: [(network, [(row's label, {peer: ratio})])]; names: the peers."""
    colour = {n: COLOURS[i % len(COLOURS)] for i, n in enumerate(names)}
    ratios = [r for _, rows in panels for _, dots in rows
              for r in dots.values()]
    ticks, place = scale_of(ratios)
    height = TOP + 28 + sum(HEAD + GAP + ROW * len(rows)
                            for _, rows in panels)
    out = ['<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" '
           'font-family="Helvetica, Arial, sans-serif" font-size="12">' %
           (WIDTH, height), rect(0, 0, WIDTH, height, "white"),
           text(10, 22, title, font_size=16, font_weight="bold"),
           text(10, 40, machine, fill="#555")] + legend(names, colour)
    out += [text(place(t), TOP - 8, "netc" if t == 1 else "%g" % t,
                 text_anchor="middle", fill="#000" if t == 1 else "#777",
                 font_weight="bold" if t == 1 else "normal") for t in ticks]
    y = TOP
    for network, rows in panels:
        out.append(text(10, y + 18, network, font_weight="bold"))
        y += HEAD
        for i, (label, dots) in enumerate(rows):
            out.append(rect(LEFT, y, WIDTH - LEFT - RIGHT, ROW,
                            "#f4f4f4" if i % 2 == 0 else "#fbfbfb"))
            out += [line(place(t), y, y + ROW, "#333" if t == 1 else "#ddd",
                         2 if t == 1 else 1) for t in ticks]
            out += row(y, label, dots, place, colour)
            y += ROW
        y += GAP
    out.append(text(LEFT, y + 12, "right of the line: so many times netc's "
                    "time; left of it: less than netc's", fill="#777",
                    font_size=11))
    return "\n".join(out + ["</svg>"]) + "\n"

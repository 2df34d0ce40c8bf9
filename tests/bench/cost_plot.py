#!/usr/bin/env python3
"""Draws what a placement costs from 100 to 10,000 agents: the picture of docs/scheduling.md.

    cost_plot.py [--build DIR] [--out docs/images/placement-cost.svg] [--agents 100,300,…]
                 [--only array,distinct,…]

The figures are those of bench_sched, medians of five, in CPU time of one core.  Beside each line
stands in how far it grew against log n: 1 is as fast.
"""
import argparse, json, math, pathlib, subprocess

COLOURS = {"array": "#4878a8", "distinct": "#e08040", "choosy": "#60a060", "mixed": "#a04868",
           "churn": "#806040", "affine": "#c8a020", "spread": "#808080"}
LEFT, TOP, WIDTH, HEIGHT, RIGHT = 70, 40, 640, 380, 150


def measure(build, only, agents):
    """Nanoseconds for a placement, by measure and number of agents."""
    costs = {}
    for name in only:
        out = subprocess.run([f"{build}/tests/bench/bench_sched", "--json", "--only", name,
                              *map(str, agents)], capture_output=True, text=True, check=True)
        for line in out.stdout.splitlines():
            row = json.loads(line)
            costs.setdefault(name, {})[row["agents"]] = row["value"]
    return costs


def label(x, y, text, anchor="start", size=11, colour="#404040"):
    return (f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{anchor}" '
            f'font-family="sans-serif" fill="{colour}">{text}</text>')


def line(points, colour, dash=""):
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    return (f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2" '
            f'stroke-dasharray="{dash}"/>')


def draw(costs, agents):
    top = max(max(by.values()) for by in costs.values()) * 1.1
    low, high = math.log10(agents[0]), math.log10(agents[-1])
    def at(n, ns):
        x = LEFT + (math.log10(n) - low) / (high - low) * (WIDTH - LEFT - RIGHT)
        return x, HEIGHT - 40 - ns / top * (HEIGHT - 40 - TOP)

    parts = [label(LEFT, 20, "CPU time of one placement, by the number of agents", size=13)]
    step = 10 ** math.floor(math.log10(top / 3))
    for i in range(0, int(top / step) + 1):
        y = at(agents[0], i * step)[1]
        parts.append(f'<line x1="{LEFT}" y1="{y:.1f}" x2="{WIDTH - RIGHT}" y2="{y:.1f}" '
                     'stroke="#d8d8d8"/>')
        parts.append(label(LEFT - 6, y + 4, f"{i * step / 1000:g} µs", "end"))
    for n in agents:
        parts.append(label(at(n, 0)[0], HEIGHT - 22, f"{n:,}", "middle"))
    ends = sorted((by[agents[-1]], name) for name, by in costs.items())
    last = HEIGHT
    for ns, name in ends:
        by, colour = costs[name], COLOURS.get(name, "#404040")
        parts.append(line([at(n, by[n]) for n in agents], colour))
        grown = (ns / by[agents[0]]) / (math.log(agents[-1]) / math.log(agents[0]))
        y = min(at(agents[-1], ns)[1] + 4, last - 13)
        last = y
        parts.append(label(WIDTH - RIGHT + 8, y, f"{name}: {grown:.1f} of log n", colour=colour))
    return (f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" '
            f'viewBox="0 0 {WIDTH} {HEIGHT}"><rect width="100%" height="100%" fill="#ffffff"/>'
            + "\n".join(parts) + "</svg>\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--build", default=".")
    parser.add_argument("--out", default="docs/images/placement-cost.svg")
    parser.add_argument("--agents", default="100,300,1000,3000,10000")
    parser.add_argument("--only", default="array,distinct,choosy,mixed,churn")
    a = parser.parse_args()
    agents = [int(n) for n in a.agents.split(",")]
    costs = measure(a.build, a.only.split(","), agents)
    out = pathlib.Path(a.out)
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(draw(costs, agents), encoding="utf-8")
    for name, by in costs.items():
        print(json.dumps({"measure": name, "ns": by}))


if __name__ == "__main__":
    main()

"""bench/RESULTS.svg: what a gigabyte costs against how late it comes, for every program measured."""
import itertools

TITLE = "1 x 500 players of 2.5 Mb/s: what a gigabyte costs, by how late it comes"
STYLES = {  # what is not here is a peer
    "Culvert": ("#0b6e4f", "o-", 2.2), "Culvert, TLS": ("#7a3e9d", "o-", 1.4),
    "Culvert, RTMPT": ("#c8553d", "o-", 1.4), "Culvert, FLV": ("#e09f3e", "o-", 1.4),
    "bare": ("#888888", "s--", 1.2), "bare, io_uring": ("#bbbbbb", "s--", 1.2),
    "bare, sealed": ("#b79fc9", "s--", 1.2),
}
PEERS = [("#2e5eaa", "D", 1.4), ("#b03060", "^", 1.4), ("#5f7f00", "v", 1.4)]  # in turn


def draw(points, path):
    """`points`: {name: [(p50 ms, CPU s per GB, window ms or None)]}. False: no matplotlib here."""
    try:
        import matplotlib
    except ImportError:
        return False
    matplotlib.use("svg")
    matplotlib.rcParams.update({"svg.hashsalt": "culvert", "svg.fonttype": "none",
                                "font.family": "sans-serif", "font.size": 10})
    from matplotlib import pyplot
    figure, axes = pyplot.subplots(figsize=(8, 5))
    peers = itertools.cycle(PEERS)
    for name, places in points.items():
        colour, marks, width = STYLES.get(name) or next(peers)
        axes.plot([place[0] for place in places], [place[1] for place in places], marks,
                  color=colour, linewidth=width, markersize=5, label=name)
        if name == "Culvert":
            for late_ms, cost, window_ms in places:
                axes.annotate(f"window {window_ms} ms", (late_ms, cost), xytext=(6, 5),
                              textcoords="offset points", fontsize=8, color=colour)
    axes.set_xscale("log")
    axes.set_ylim(bottom=0)
    axes.set_xlabel("latency p50, ms")
    axes.set_ylabel("server's processor, seconds per GB")
    axes.set_title(TITLE, fontsize=11)
    axes.xaxis.set_major_formatter("{x:g}")
    axes.grid(True, which="major", color="#dddddd", linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=9)
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})
    if path.endswith(".svg"):
        _strip(path)
    pyplot.close(figure)
    return True


def _strip(path):
    """No blanks at the ends of lines."""
    with open(path, encoding="utf-8") as file:
        lines = [line.rstrip() for line in file]
    with open(path, "w", encoding="utf-8") as file:
        file.write("\n".join(lines) + "\n")

"""The measurements' own arithmetic: medians, ratios of one round, targets, tables, who serves a port."""
import os
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../bench"))

import kit  # noqa: E402
import peers  # noqa: E402
import scenarios  # noqa: E402
import targets  # noqa: E402
from scenarios import BARE, CULVERT, NGINX, RING, SEAL  # noqa: E402
from targets import COST, Runs, key_of, plain  # noqa: E402


def costs(*values):
    return [None if value is None else {COST: value, "intact": True} for value in values]


def found(results, what, names=(), ring=False):
    """The one target whose words have `what` in them."""
    one, = [row for row in targets.all_targets(Runs(results), names, ring) if what in row.what]
    return one


def test_ratio_is_of_one_round():
    runs = Runs({"a": costs(1, 4, 9), "b": costs(1, 2, 3)})
    assert runs.ratios("a", "b") == [1, 2, 3]


def test_a_round_that_failed_is_left_out():
    runs = Runs({"a": costs(1, None, 9), "b": costs(1, 2, 3)})
    assert runs.ratios("a", "b") == [1, 3]
    assert runs.median("a", COST) == 5
    assert runs.span("a", COST) == (1, 9)


def test_nothing_measured_is_said():
    runs = Runs({})
    assert runs.median("a", COST) is None and runs.ratios("a", "b") == []
    assert all(one.holds() is None for one in targets.all_targets(runs, (), False))
    assert "not measured" in kit.target_table(targets.all_targets(runs, (), False))


def test_median_decides_and_span_is_told():
    one = found({plain(0): costs(1, 3, 1.1), plain(0, BARE): costs(1, 1, 1)}, "the bare limit's (one")
    assert one.measured == 1.1 and one.holds() and one.span == (1, 3)
    assert "1.10 (1.00 to 3.00)" in kit.target_table([one])


def test_limit_is_the_ring_where_the_server_has_one():
    results = {plain(0): costs(1.2), plain(0, BARE): costs(2), plain(0, RING): costs(1)}
    assert found(results, "window 0: CPU per GB, times the bare").measured == 0.6
    assert found(results, "window 0: CPU per GB, times the bare", ring=True).measured == 1.2


def test_srs_is_measured_where_given_and_else_only_quoted():
    results = {plain(100): costs(0.6), plain(100, BARE): costs(0.3),
               key_of("SRS 6", "1 x 500"): costs(1)}
    assert found(results, "SRS", ["SRS 6"]).measured == 0.6
    quoted = found(results, "SRS")
    assert quoted.holds() is None and "0.71" in quoted.why and "--peer" in quoted.why


def test_best_peer_is_the_one_with_most_players():
    ours = key_of(CULVERT, "until p99 > 1 s", window_ms=100)
    results = {ours: [{"players_max": 9000}],
               key_of(NGINX, "until p99 > 1 s"): [{"players_max": 2000}],
               key_of("SRS", "until p99 > 1 s"): [{"players_max": 4500}]}
    one = found(results, "until p99", [NGINX, "SRS", "absent"])
    assert one.measured == 2 and one.holds() and "SRS" in one.what


def test_joins_per_second_come_from_their_cost():
    key = key_of(CULVERT, "joins, all it can", window_ms=20)
    one = found({key: [{"server_cpu_us_per_join": 250.0}]}, "joins per second")
    assert one.measured == 4000 and one.holds()


def test_memory_is_that_of_more_players():
    results = {plain(20): [{"rss_load_kib": 20000}],
               plain(20, shape="1 x 1500"): [{"rss_load_kib": 28000}]}
    assert found(results, "an RTMP player").measured == 8


def test_tls_is_counted_in_what_the_cipher_costs():
    results = {plain(20, way="TLS"): costs(2), plain(20): costs(1), plain(20, SEAL): costs(1.5),
               plain(20, BARE): costs(1)}
    assert found(results, "TLS, 1 x 500, window 20").measured == 2
    assert targets.cipher_times(2, 1, 1, 1) is None


def test_scaling_is_of_the_busiest_thread_for_the_same_load():
    metrics = ("server_thread_cpu_percent_max", "megabits_per_s")
    results = {plain(20, scenarios.ONE_THREAD, "1 x 1500"):
               [dict(zip(metrics, (40, 4000)))],
               plain(20, scenarios.TWO_THREADS, "1 x 1500"): [dict(zip(metrics, (11, 2000)))]}
    assert abs(found(results, "busiest of two").measured - 40 / 22) < 1e-9


def test_softirq_is_work_too():
    result = targets.with_softirq({COST: 1.0, "server_cpu_percent": 20.0, "server_softirq_percent": 5.0})
    assert result[COST] == 1.25 and result["server_cpu_percent"] == 25
    assert targets.with_softirq({"idle": 1}) == {"idle": 1}


def test_server_says_whether_it_has_a_ring():
    assert targets.ring_word("info server.ready threads=1 io_uring=yes\n") == "yes"
    assert targets.ring_word('info server.ready io_uring="not permitted" x=1\n') == "not permitted"
    assert targets.ring_word("info server.ready threads=1\n") == "not built in"


def test_verdict_names_what_was_missed():
    text = targets.verdict([kit.Target("good", 1, 2), kit.Target("bad", 3, 2),
                            kit.Target("absent", None, 2, why="no")])
    assert text == "1 targets hold, 1 missed, 1 not measured\n  missed: bad"


def test_at_least_and_at_most():
    assert kit.Target("", 2, 1, at_most=False).holds() and not kit.Target("", 2, 1).holds()


def test_table_has_rows_with_results_and_columns_with_values():
    job = scenarios.Job("fanout", CULVERT, "1 x 500", window_ms=0)
    other = scenarios.Job("fanout", CULVERT, "1 x 500", window_ms=20)
    text = targets.table(Runs({job.key: costs(1), other.key: [None]}), "fanout", [job, other])
    assert "CPU s/GB" in text and "p99" not in text and "window 20" not in text


def test_what_is_broken_is_named():
    runs = Runs({"a": [{"intact": True}, {"intact": False}], "b": [None, {"intact": True}]})
    assert runs.broken() == ["a"]


def test_every_job_is_there_once_and_has_a_table():
    jobs = scenarios.jobs_of(list(scenarios.PARTS), [NGINX])
    assert len({job.key for job in jobs}) == len(jobs) > 30
    assert all(job.part in targets.COLUMNS for job in jobs)
    assert scenarios.takes_s(jobs, 5, 4) > scenarios.takes_s(jobs, 1, 4) > 0


def test_all_takes_no_longer_than_promised():
    jobs = scenarios.jobs_of(list(scenarios.PARTS), [NGINX])
    assert scenarios.takes_s(jobs, 5, 4) <= 25 * 60


def test_points_are_of_500_players_by_latency():
    def run(cost, late):
        return [{COST: cost, "latency_p50_ms": late}]
    jobs = [scenarios.Job("", CULVERT, "1 x 500", window_ms=100), scenarios.Job("", CULVERT, "1 x 500", window_ms=0),
            scenarios.Job("", CULVERT, "1 x 1500", window_ms=0)]
    runs = Runs({jobs[0].key: run(0.3, 50), jobs[1].key: run(1.5, 2), jobs[2].key: run(1, 1)})
    assert targets.points(runs, jobs) == {CULVERT: [(2, 1.5, 0), (50, 0.3, 100)]}


def test_peer_needs_a_name_and_a_port():
    assert peers.parse("SRS=srs -p {port} a=b") == ("SRS", "srs -p {port} a=b")
    for wrong in ("SRS", "=srs {port}", "SRS=srs"):
        try:
            peers.parse(wrong)
        except ValueError:
            continue
        raise AssertionError(wrong)


def test_listening_sockets_are_found_by_port():
    table = ("  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
             "   0: 0100007F:078F 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4711 1\n"
             "   1: 0100007F:078F 0100007F:9C40 01 00000000:00000000 00:00000000 00000000     0        0 4712 1\n"
             "   2: 0100007F:0050 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4713 1\n")
    assert peers.inodes_listening(table, 0x78f) == {"4711"}


def test_other_sections_stay():
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "r.md")
        for title, body in (("A", "one"), ("B", "two"), ("A", "three")):
            kit.write_section(path, title, body)
        with open(path, encoding="utf-8") as file:
            assert file.read() == "# Results\n\n## A\n\nthree\n\n## B\n\ntwo\n"


def main():
    tests = [(name, test) for name, test in globals().items() if name.startswith("test_")]
    print(f"1..{len(tests)}")
    wrong = 0
    for number, (name, test) in enumerate(tests, 1):
        try:
            test()
            print("ok", number, "-", name)
        except Exception as failure:  # pylint: disable=broad-except
            wrong += 1
            print("not ok", number, "-", name, f"# {failure!r}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())

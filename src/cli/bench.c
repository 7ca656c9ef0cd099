// culvert bench: options, and a run of the bench with them.
#include "cli/cli.h"

#include "base/limits.h"
#include "base/mem.h"
#include "base/text.h"
#include "cli/bench_run.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

// ---- options --------------------------------------------------------------------------------

static int read_number(const char *name, const char *value, uint32_t min, uint32_t max,
                       uint32_t *out, struct cv_why *why)
{
    uint64_t number;
    if (cv_text_u64(cv_text_of(value), min, max, &number) != CV_OK)
        return cv_why_set(why, CV_E_USAGE, "options",
                          "--%s %.60s: a number from %u to %u is needed", name, value, min, max);
    *out = (uint32_t)number;
    return CV_OK;
}

// function, option, member of cv_bench_options, least, most
#define NUMBERS(ROW)                                                                               \
    ROW(set_publishers, "publishers", publishers, 1, 10000)                                        \
    ROW(set_players, "players", players, 1, 100000)                                                \
    ROW(set_checked, "checked", checked, 1, 100000)                                                \
    ROW(set_idle, "idle", idle, 1, 100000)                                                         \
    ROW(set_bitrate, "bitrate-kbps", shape.bitrate_kbps, 16, 100000)                               \
    ROW(set_fps, "fps", shape.fps, 1, 240)                                                         \
    ROW(set_audio, "audio-kbps", shape.audio_kbps, 0, 1000)                                        \
    ROW(set_gop, "gop-s", shape.gop_s, 1, 20)                                                      \
    ROW(set_join_rate, "join-rate", join_rate, 1, 100000)                                          \
    ROW(set_until, "until-p99-ms", until.p99_ms, 1, 60000)                                         \
    ROW(set_step, "step", until.step, 1, 100000)                                                   \
    ROW(set_players_max, "players-max", until.players_max, 1, 1000000)                             \
    ROW(set_seconds, "seconds", seconds, 1, 86400)                                                 \
    ROW(set_threads, "threads", threads, 1, CV_LIMIT_THREADS)                                      \
    ROW(set_latency, "latency-ms", latency_ms, 0, 1000)

#define ROW(fn, name, member, min, max)                                                            \
    static int fn(void *into, const char *value, struct cv_why *why)                               \
    {                                                                                              \
        return read_number(name, value, min, max, &((struct cv_bench_options *)into)->member,      \
                           why);                                                                   \
    }
NUMBERS(ROW)
#undef ROW

CV_OPTION_TEXT(set_url, struct cv_bench_options, url)

static int set_server_pid(void *into, const char *value, struct cv_why *why)
{
    uint32_t pid = 0;
    int err = read_number("server-pid", value, 1, INT_MAX, &pid, why);
    if (err == CV_OK)
        ((struct cv_bench_options *)into)->server_pid = (pid_t)pid;
    return err;
}

// "0,2-3": the processors 0, 2 and 3.
static int set_server_cpus(void *into, const char *value, struct cv_why *why)
{
    if (cv_bench_read_cpus(cv_text_of(value), &((struct cv_bench_options *)into)->server_cpus))
        return CV_OK;
    return cv_why_set(why, CV_E_USAGE, "options",
                      "--server-cpus %.60s: a list is needed, like 0 or 0,2-3; the last is %d",
                      value, CV_BENCH_CPUS_MAX - 1);
}

static int set_bench_cpu(void *into, const char *value, struct cv_why *why)
{
    uint32_t cpu = 0;
    int err = read_number("bench-cpu", value, 0, CV_BENCH_CPUS_MAX - 1, &cpu, why);
    if (err == CV_OK)
        ((struct cv_bench_options *)into)->bench_cpus = UINT64_C(1) << cpu;
    return err;
}

static int set_via(void *into, const char *value, struct cv_why *why)
{
    struct cv_bench_options *args = into;
    struct cv_why unsaid = {.code = CV_OK};
    args->flv = strcmp(value, "flv") == 0;
    if (cv_stream_set_via(into, args->flv ? "rtmp" : value, &unsaid) == CV_OK)
        return CV_OK;
    return cv_why_set(why, CV_E_USAGE, "options", "--via %.60s: rtmp, rtmpt, ws or flv", value);
}

CV_OPTION_FLAG(set_tls, struct cv_bench_options, tls)

static const struct cv_option options[] = {
    {"publishers", 0, "N", "streams (default 1)", set_publishers},
    {"players", 0, "N", "players of each stream (default 100; see --join-rate)", set_players},
    {"checked", 0, "N", "of them all only N check what comes (default all)", set_checked},
    {"bitrate-kbps", 0, "N", "of a stream, with its audio (default 2500)", set_bitrate},
    {"audio-kbps", 0, "N", "of that for audio; 0 is none (default 128)", set_audio},
    {"fps", 0, "N", "frames per second (default 30)", set_fps},
    {"gop-s", 0, "N", "seconds between key frames (default 2)", set_gop},
    {"seconds", 0, "N", "how long to measure (default 20)", set_seconds},
    {"idle", 0, "N", "only the memory of N players who wait", set_idle},
    {"join-rate", 0, "N", "so many come in a second, see a key frame and leave", set_join_rate},
    {"until-p99-ms", 0, "N", "how many players until their p99 is later", set_until},
    {"step", 0, "N", "for that: so many more at a time (default 250)", set_step},
    {"players-max", 0, "N", "and at most so many (default 20000)", set_players_max},
    {"threads", 0, "N", "threads of the server (default 1)", set_threads},
    {"latency-ms", 0, "N", "flush window of the server (default 20)", set_latency},
    {"server-cpus", 0, "LIST", "where it runs, like 0,2-3 (one thread: 0)", set_server_cpus},
    {"bench-cpu", 0, "N", "where the bench itself runs (default 1)", set_bench_cpu},
    {"tls", 0, NULL, "everything inside TLS", set_tls},
    {"url", 0, "URL", "rtmp[s]://HOST[:PORT]/APP: a server that runs", set_url},
    {"server-pid", 0, "PID", "its process here, to measure it", set_server_pid},
    {"via", 0, "WAY", "rtmp, rtmpt, ws, or flv to play (default: as URL says)", set_via},
    CV_STREAM_TLS_OPTIONS,
    {"json", 0, NULL, "print JSON", cv_stream_set_json},
};

// ---- running --------------------------------------------------------------------------------

static int run(const struct cv_bench_options *args, struct cv_bench_result *result)
{
    struct cv_why why = {.code = CV_OK};
    int err = cv_bench_run(args, result, &why);
    bool distrusts = cv_err_class(err) == CV_CLASS_REFUSED; // nothing else of it ends a bench
    if (err == CV_E_USAGE)
        return cv_cli_fail(CV_EXIT_USAGE, why.text);
    if (err != CV_OK)
        return cv_cli_fail(distrusts ? CV_EXIT_CERTIFICATE : CV_EXIT_FAILURE, why.text);
    return cv_bench_report(args, result) ? CV_EXIT_OK : CV_EXIT_FAILURE;
}

static int run_bench(const struct cv_command *command, int argc, char **argv)
{
    struct cv_bench_options args = {
        .stream = {.proxy = "none", .no_memory = true},
        .publishers = 1,
        .until = {.step = 250, .players_max = 20000},
        .shape = {.bitrate_kbps = 2500, .fps = 30, .audio_kbps = 128, .gop_s = 2},
        .seconds = 20,
        .threads = 1,
        .latency_ms = CV_LATENCY_MS,
    };
    size_t count;
    int end;
    if (!cv_cli_options(command, argc, argv, &args, NULL, 0, &count, &end))
        return end;
    if (args.players == 0)
        args.players = args.join_rate ? 200 : 100;
    if (!!args.idle + !!args.join_rate + !!args.until.p99_ms > 1)
        return cv_cli_usage(command, "--idle, --join-rate and --until-p99-ms exclude each other");
    if (args.shape.audio_kbps >= args.shape.bitrate_kbps)
        return cv_cli_usage(command, "--audio-kbps must be less than --bitrate-kbps");
    if (args.server_pid && !args.url)
        return cv_cli_usage(command, "--server-pid goes with --url");
    if (args.server_cpus && args.url)
        return cv_cli_usage(command, "--server-cpus is for the bench's own server");
    if (args.tls && args.url)
        return cv_cli_usage(command, "--tls is for the bench's own server; else --url rtmps://...");
    struct cv_bench_result *result = cv_mem_zero(1, sizeof *result);
    if (!result)
        return cv_cli_fail(CV_EXIT_FAILURE, "no memory");
    end = run(&args, result);
    cv_mem_free(result);
    return end;
}

const struct cv_command cv_command_bench = {
    .name = "bench",
    .usage = "[OPTIONS]",
    .summary = "measure a server",
    .about = "Publishes synthetic streams and plays them, through a server that it starts on\n"
             "this machine (on the first processor, itself on the second) or one that runs\n"
             "already. Each player checks every message: number, size, content. Prints what\n"
             "was delivered, how late, and what it cost the server. Ends with 1 when anything\n"
             "was lost, doubled or damaged.\n\n"
             "With --join-rate players come and go while a stream flows (--players: at most so\n"
             "many at once, 200). With --until-p99-ms more and more players join, beginning\n"
             "with --players, until the latency of 99 % is higher or something is lost.\n\n"
             "With --checked the other players, once they play, only throw away what comes,\n"
             "unseen, so that the bench itself costs little: they count for the bytes and the\n"
             "costs, those who check for the rest.\n\n"
             "A URL that has a query, rtmp://host/live?key=KEY, hands it over with the names\n"
             "of the streams.",
    .examples = "  culvert bench --players 500\n"
                "  culvert bench --publishers 20 --players 3 --latency-ms 0 --json\n"
                "  culvert bench --idle 1000\n"
                "  culvert bench --players 200 --tls\n"
                "  culvert bench --players 1500 --checked 20 --via flv\n"
                "  culvert bench --join-rate 200\n"
                "  culvert bench --players 500 --step 500 --until-p99-ms 1000 --checked 50\n"
                "  culvert bench --url rtmp://localhost/live --server-pid 4711\n"
                "  culvert bench --url rtmps://localhost/live --ca cert.pem --via rtmpt\n",
    .options = options,
    .option_count = sizeof options / sizeof options[0],
    .run = run_bench,
};

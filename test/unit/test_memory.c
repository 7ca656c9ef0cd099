// The file of the memory of networks: where it is, who may read it, what happens when it cannot be
// written, and that several processes lose nothing of each other's.
#include "harness.h"

#include "client/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { NOW = 1000000000 };

static const struct cv_memory_entry known = {.way = CV_WAY_RTMP, .rtt_us = 20000, .at_s = NOW};

struct place {
    char folder[64];
    char path[128];
};

static int make_place(void **state)
{
    static struct place place;
    snprintf(place.folder, sizeof place.folder, "/tmp/culvert-memory-XXXXXX");
    assert_non_null(mkdtemp(place.folder));
    snprintf(place.path, sizeof place.path, "%s/state/culvert/networks", place.folder);
    *state = &place;
    return 0;
}

static int remove_place(void **state)
{
    struct place *place = *state;
    return remove_tree(place->folder);
}

static int put(const char *path, const char *server, struct cv_why *why)
{
    return cv_memory_put(path, "n", server, &known, why);
}

static bool knows(const char *path, const char *server)
{
    struct cv_memory_entry entry;
    bool found = cv_memory_find(path, "n", server, NOW, &entry);
    if (found)
        assert_int_equal(entry.rtt_us, known.rtt_us);
    return found;
}

static void write_file(const char *path, const char *text, size_t len)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, len), len);
    close(fd);
}

static unsigned mode_of(const char *path)
{
    struct stat status;
    assert_int_equal(lstat(path, &status), 0);
    return status.st_mode & 07777;
}

static void makes_its_folder_and_its_file(void **state)
{
    struct place *place = *state;
    char folder[96];
    struct cv_why why = {0};
    assert_false(knows(place->path, "s:80"));
    assert_int_equal(put(place->path, "s:80", &why), CV_OK);
    assert_int_equal(put(place->path, "t:80", &why), CV_OK);
    assert_true(knows(place->path, "s:80"));
    assert_true(knows(place->path, "t:80"));
    assert_int_equal(mode_of(place->path), 0600);
    snprintf(folder, sizeof folder, "%s/state", place->folder);
    assert_int_equal(mode_of(folder), 0700);
    snprintf(folder, sizeof folder, "%s/state/culvert", place->folder);
    assert_int_equal(mode_of(folder), 0700);
    assert_int_equal(why.code, CV_OK);
    assert_true(tree_has(place->folder, "server=s:80 way=rtmp"));
    snprintf(folder, sizeof folder, "%s/state/culvert/networks.new", place->folder);
    assert_int_equal(access(folder, F_OK), -1); // nothing is left beside it
}

static void a_path_may_be_a_name_alone(void **state)
{
    struct place *place = *state;
    char before[PATH_MAX];
    assert_non_null(getcwd(before, sizeof before));
    assert_int_equal(chdir(place->folder), 0);
    assert_int_equal(put("networks", "s:80", NULL), CV_OK);
    assert_true(knows("networks", "s:80"));
    assert_int_equal(put("a/b//networks", "s:80", NULL), CV_OK);
    assert_true(knows("a/b/networks", "s:80"));
    assert_int_equal(chdir(before), 0);
}

static void set_or_unset(const char *name, const char *value)
{
    assert_int_equal(value ? setenv(name, value, 1) : unsetenv(name), 0);
}

static void the_default_path_is_where_state_belongs(void **state)
{
    (void)state;
    static const struct {
        const char *state;
        const char *home;
        const char *path;
    } rows[] = {
        {"/s", "/h", "/s/culvert/networks"},
        {NULL, "/h", "/h/.local/state/culvert/networks"},
        {"", "/h", "/h/.local/state/culvert/networks"},
        {"relative", "/h", "/h/.local/state/culvert/networks"},
        {NULL, NULL, ""},
        {NULL, "", ""},
        {NULL, "h", ""},
        {"/s", NULL, "/s/culvert/networks"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char out[64];
        set_or_unset("XDG_STATE_HOME", rows[i].state);
        set_or_unset("HOME", rows[i].home);
        cv_memory_default_path(out, sizeof out);
        assert_string_equal(out, rows[i].path);
    }
    set_or_unset("XDG_STATE_HOME", "/s");
    char room[sizeof "/s/culvert/networks"];
    cv_memory_default_path(room, sizeof room);
    assert_string_equal(room, "/s/culvert/networks");
    cv_memory_default_path(room, sizeof room - 1);
    assert_string_equal(room, "");
}

static void what_cannot_be_read_is_no_file(void **state)
{
    struct place *place = *state;
    char path[128];
    // a folder, a pipe, a device
    assert_false(knows(place->folder, "s:80"));
    snprintf(path, sizeof path, "%s/pipe", place->folder);
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_false(knows(path, "s:80"));
    assert_false(knows("/dev/zero", "s:80"));
    assert_false(knows("", "s:80"));
    assert_false(knows("/dev/null/networks", "s:80"));
}

// A file as large as it may be is read, with one byte more it is not, and then it is replaced.
static void bug_25_a_file_has_a_limit(void **state)
{
    struct place *place = *state;
    static char text[CV_LIMIT_MEMORY_BYTES + 1];
    static const char line[] = "network=n server=s:80 way=rtmp rtt_us=20000 at=1000000000\n";
    char path[128];
    snprintf(path, sizeof path, "%s/networks", place->folder);
    memset(text, '\n', sizeof text);
    memcpy(text, "culvert networks 1\n", 19);
    memcpy(text + CV_LIMIT_MEMORY_BYTES - (sizeof line - 1), line, sizeof line - 1);
    write_file(path, text, CV_LIMIT_MEMORY_BYTES);
    assert_true(knows(path, "s:80"));
    write_file(path, text, CV_LIMIT_MEMORY_BYTES + 1);
    assert_false(knows(path, "s:80"));
    // huge, and without any blocks on the disk
    assert_int_equal(truncate(path, (off_t)1 << 40), 0);
    assert_false(knows(path, "s:80"));
    assert_int_equal(put(path, "t:80", NULL), CV_OK);
    assert_true(knows(path, "t:80"));
    assert_false(knows(path, "s:80"));
}

// A link that stands where the file should be leads nowhere: neither to be read nor to be written.
static void links_are_not_followed(void **state)
{
    struct place *place = *state;
    static const char text[] =
        "culvert networks 1\nnetwork=n server=s:80 way=rtmp rtt_us=20000 at=1000000000\n";
    char other[128];
    char path[128];
    char beside[160];
    snprintf(other, sizeof other, "%s/other", place->folder);
    snprintf(path, sizeof path, "%s/networks", place->folder);
    snprintf(beside, sizeof beside, "%s.new", path);
    write_file(other, text, sizeof text - 1);
    assert_true(knows(other, "s:80"));
    assert_int_equal(symlink(other, path), 0);
    assert_int_equal(symlink(other, beside), 0);
    assert_false(knows(path, "s:80"));
    assert_int_equal(put(path, "t:80", NULL), CV_OK);
    assert_true(knows(path, "t:80"));
    assert_false(knows(path, "s:80"));
    assert_true(knows(other, "s:80"));
    assert_false(knows(other, "t:80"));
    struct stat status;
    assert_int_equal(lstat(path, &status), 0);
    assert_true(S_ISREG(status.st_mode));
}

// A full disk: the kernel refuses to let the file grow. What was known before stays.
static void a_full_disk_leaves_the_old_file(void **state)
{
    struct place *place = *state;
    char beside[160];
    struct rlimit before;
    struct cv_why why = {0};
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    snprintf(beside, sizeof beside, "%s.new", place->path);
    assert_int_equal(put(place->path, "s:80", NULL), CV_OK);
    assert_int_equal(sigaction(SIGXFSZ, &ignore, NULL), 0);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    struct rlimit full = {.rlim_cur = 150, .rlim_max = before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &full), 0);
    int err = put(place->path, "t:80", &why);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_int_equal(err, CV_E_SYSTEM);
    assert_non_null(strstr(why.text, place->path));
    assert_non_null(strstr(why.text, strerror(EFBIG)));
    assert_true(knows(place->path, "s:80"));
    assert_false(knows(place->path, "t:80"));
    assert_int_equal(access(beside, F_OK), -1);
}

static void failures_say_what_and_why(void **state)
{
    struct place *place = *state;
    char path[2 * PATH_MAX];
    struct cv_why why = {0};
    // a file where a folder should be
    snprintf(path, sizeof path, "%s/file", place->folder);
    write_file(path, "", 0);
    snprintf(path, sizeof path, "%s/file/networks", place->folder);
    assert_int_equal(put(path, "s:80", &why), CV_E_SYSTEM);
    assert_non_null(strstr(why.text, strerror(ENOTDIR)));
    // a folder where the file should be, with something in it
    snprintf(path, sizeof path, "%s/networks/full", place->folder);
    assert_int_equal(put(path, "s:80", NULL), CV_OK);
    snprintf(path, sizeof path, "%s/networks", place->folder);
    assert_int_equal(put(path, "s:80", NULL), CV_E_SYSTEM);
    snprintf(path, sizeof path, "%s/networks/full", place->folder);
    assert_true(knows(path, "s:80"));
    // paths and names that are too long, or empty
    memset(path, 'x', sizeof path);
    path[0] = '/';
    path[PATH_MAX + 9] = '\0';
    path[PATH_MAX + 4] = '/';
    assert_int_equal(put(path, "s:80", NULL), CV_E_SYSTEM);
    path[NAME_MAX] = '\0'; // fits, but not with what is written beside it
    assert_int_equal(put(path, "s:80", NULL), CV_E_SYSTEM);
    assert_int_equal(put("", "s:80", NULL), CV_E_SYSTEM);
    snprintf(path, sizeof path, "%s/", place->folder);
    assert_int_equal(put(path, "s:80", NULL), CV_E_SYSTEM);
    // names that would break a line
    assert_int_equal(put(place->path, "s 80", &(struct cv_why){0}), CV_E_USAGE);
    assert_int_equal(put(place->path, "s\nnetwork=n", NULL), CV_E_USAGE);
    assert_int_equal(cv_memory_put(place->path, "", "s:80", &known, NULL), CV_E_USAGE);
    assert_int_equal(access(place->path, F_OK), -1);
}

// In a child, as nothing is denied to root.
static void a_folder_of_others_is_denied(void **state)
{
    struct place *place = *state;
    char path[128];
    snprintf(path, sizeof path, "%s/closed", place->folder);
    assert_int_equal(mkdir(path, 0500), 0);
    assert_int_equal(chmod(place->folder, 0755), 0);
    snprintf(path, sizeof path, "%s/closed/networks", place->folder);
    fflush(NULL);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct cv_why why = {0};
        if (geteuid() == 0 && setuid(65534) != 0)
            _exit(1);
        _exit(put(path, "s:80", &why) == CV_E_DENIED && strstr(why.text, "/closed") ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

// A process that holds the lock and does not go on costs a second, and nothing is lost.
static void a_lock_is_waited_for_but_not_for_ever(void **state)
{
    struct place *place = *state;
    struct cv_why why = {0};
    char folder[96];
    assert_int_equal(put(place->path, "s:80", NULL), CV_OK);
    snprintf(folder, sizeof folder, "%s/state/culvert", place->folder);
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_int_equal(flock(fd, LOCK_EX), 0);
    assert_int_equal(put(place->path, "t:80", &why), CV_E_SYSTEM);
    assert_non_null(strstr(why.text, "lock"));
    assert_true(knows(place->path, "s:80")); // reading needs no lock
    close(fd);
    assert_int_equal(put(place->path, "t:80", NULL), CV_OK);
    assert_true(knows(place->path, "t:80"));
}

enum { WRITERS = 4, LINES_EACH = 40 };

static void write_lines(const char *path, unsigned writer)
{
    for (unsigned i = 0; i < LINES_EACH; i++) {
        char server[32];
        snprintf(server, sizeof server, "s%u-%u:80", writer, i);
        if (put(path, server, NULL) != CV_OK || !knows(path, server))
            _exit(1);
    }
    _exit(0);
}

static void processes_lose_nothing_of_each_other(void **state)
{
    struct place *place = *state;
    pid_t writers[WRITERS];
    fflush(NULL);
    for (unsigned i = 0; i < WRITERS; i++) {
        writers[i] = fork();
        assert_true(writers[i] >= 0);
        if (writers[i] == 0)
            write_lines(place->path, i);
    }
    for (unsigned i = 0; i < WRITERS; i++) {
        int status;
        assert_int_equal(waitpid(writers[i], &status, 0), writers[i]);
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    }
    for (unsigned i = 0; i < WRITERS * LINES_EACH; i++) {
        char server[32];
        snprintf(server, sizeof server, "s%u-%u:80", i % WRITERS, i / WRITERS);
        assert_true(knows(place->path, server));
    }
}

static bool put_and_find(void *arg)
{
    const char *path = arg;
    struct cv_why why = {0};
    remove(path);
    int err = put(path, "s:80", &why);
    assert_true(err == CV_OK || (err == CV_E_NOMEM && why.code == err));
    return knows(path, "s:80") && err == CV_OK;
}

static void bug_24_without_memory_nothing_is_remembered(void **state)
{
    struct place *place = *state;
    fail_nth(put_and_find, place->path);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, make_place, remove_place)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(makes_its_folder_and_its_file),
        TEST(a_path_may_be_a_name_alone),
        cmocka_unit_test(the_default_path_is_where_state_belongs),
        TEST(what_cannot_be_read_is_no_file),
        TEST(bug_25_a_file_has_a_limit),
        TEST(links_are_not_followed),
        TEST(a_full_disk_leaves_the_old_file),
        TEST(failures_say_what_and_why),
        TEST(a_folder_of_others_is_denied),
        TEST(a_lock_is_waited_for_but_not_for_ever),
        TEST(processes_lose_nothing_of_each_other),
        TEST(bug_24_without_memory_nothing_is_remembered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

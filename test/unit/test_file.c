// Files on helper threads: what is opened, what never is, closing at any time, and many at once.
#include "harness.h"

#include "base/err.h"
#include "base/limits.h"
#include "io/beneath.h"
#include "io/file.h"
#include "io/loop.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

// root/ is a site, secret lies beside it.
static char base[64];
static char root[96];

static const char *in_base(const char *name)
{
    return path_in(base, name);
}

static void link_to(const char *target, const char *name)
{
    assert_int_equal(symlink(target, in_base(name)), 0);
}

static int make_tree(void **state)
{
    (void)state;
    snprintf(base, sizeof base, "/tmp/culvert-file-XXXXXX");
    assert_non_null(mkdtemp(base));
    snprintf(root, sizeof root, "%s/root", base);
    static const char *const folders[] = {"root", "root/a", "root/a/b", "root/empty", "root/shut"};
    for (size_t i = 0; i < sizeof folders / sizeof folders[0]; i++)
        assert_int_equal(mkdir(in_base(folders[i]), 0755), 0);
    file_write(in_base("secret"), "secret");
    file_write(in_base("root/index.html"), "home");
    file_write(in_base("root/a/b/file.txt"), "0123456789");
    file_write(in_base("root/a/index.html"), "a");
    file_write(in_base("root/zero"), "");
    link_to("../secret", "root/out");
    link_to("..", "root/up");
    link_to("/", "root/slash");
    link_to(in_base("secret"), "root/absolute");
    link_to("/proc/self/root", "root/magic");
    link_to("a/b/file.txt", "root/in");
    link_to("b/../b/file.txt", "root/a/in_and_up");
    link_to("../index.html", "root/a/up_but_in");
    link_to("../../secret", "root/a/up_and_out");
    link_to("a/b", "root/folder_in");
    link_to("loop", "root/loop");
    link_to("nothing", "root/dangling");
    assert_int_equal(mkfifo(in_base("root/fifo"), 0644), 0);
    return 0;
}

static int drop_tree(void **state)
{
    (void)state;
    return remove_tree(base);
}

// ---- opening beneath ------------------------------------------------------------------------

struct row {
    const char *path;
    const char *with_links; // what is read, or NULL: CV_E_NOT_FOUND
    const char *stepwise;
};

static const struct row rows[] = {
    {"index.html", "home", "home"},
    {"a/b/file.txt", "0123456789", "0123456789"},
    {"in", "0123456789", NULL},
    {"a/in_and_up", "0123456789", NULL},
    {"a/up_but_in", "home", NULL},
    {"folder_in/file.txt", "0123456789", NULL},
    {"out", NULL, NULL},
    {"up/secret", NULL, NULL},
    {"up/root/index.html", NULL, NULL},
    {"slash/etc/passwd", NULL, NULL},
    {"absolute", NULL, NULL},
    {"magic/etc/passwd", NULL, NULL},
    {"a/up_and_out", NULL, NULL},
    {"loop", NULL, NULL},
    {"dangling", NULL, NULL},
    {"nothing", NULL, NULL},
    {"index.html/x", NULL, NULL},
    {"index.html/", NULL, NULL},
    {"../secret", NULL, NULL},
    {"a/../../secret", NULL, NULL},
    {"/etc/passwd", NULL, NULL},
    {"", NULL, NULL},
};

static void check_row(const char *path, int fd, const char *expected)
{
    char text[32] = {0};
    if (!expected) {
        if (fd != CV_E_NOT_FOUND)
            fail_msg("%s: %d", path, fd);
        return;
    }
    if (fd < 0)
        fail_msg("%s: %s", path, cv_err_name(fd));
    assert_true(read(fd, text, sizeof text - 1) > 0);
    assert_string_equal(text, expected);
    close(fd);
}

static void bug_17_no_link_leads_out_of_the_folder(void **state)
{
    (void)state;
    int folder = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
    assert_true(folder >= 0);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        check_row(rows[i].path, cv_open_beneath(folder, rows[i].path), rows[i].with_links);
        check_row(rows[i].path, cv__open_beneath_stepwise(folder, rows[i].path), rows[i].stepwise);
    }
    char name[600];
    memset(name, 'x', sizeof name);
    name[sizeof name - 1] = '\0';
    name[400] = '/';
    assert_int_equal(cv__open_beneath_stepwise(folder, name), CV_E_NOT_FOUND);
    assert_int_equal(cv_open_beneath(folder, name), CV_E_NOT_FOUND);
    close(folder);
}

// ---- a file on a loop -----------------------------------------------------------------------

struct reader {
    struct cv_file *file;
    int opened; // 1: not yet
    struct cv_file_info info;
    int read; // 1: not yet
    struct cv_block *block;
    bool closes; // as soon as it is told
};

static struct cv_loop *loop;
static struct cv_disk disk;

static int start_loop(void **state)
{
    (void)state;
    loop = cv_loop_new();
    cv_disk_init(&disk, loop);
    return loop ? 0 : -1;
}

static int stop_loop(void **state)
{
    (void)state;
    cv_loop_free(loop);
    assert_int_equal(disk.running, 0);
    assert_null(disk.waiting);
    return 0;
}

static void on_opened(void *arg, int code, const struct cv_file_info *info)
{
    struct reader *reader = arg;
    assert_int_equal(reader->opened, 1);
    reader->opened = code;
    reader->info = *info;
    if (reader->closes)
        cv_file_close(&reader->file);
}

static void on_read(void *arg, int code, struct cv_block *block)
{
    struct reader *reader = arg;
    assert_int_equal(reader->read, 1);
    reader->read = code;
    reader->block = block;
    if (reader->closes)
        cv_file_close(&reader->file);
}

static const struct cv_file_user user = {.opened = on_opened, .read = on_read};

static struct reader open_file(const char *path, const char *index)
{
    struct reader reader = {.opened = 1, .read = 1};
    reader.file = cv_file_open(&disk, root, path, index, &user, &reader);
    assert_non_null(reader.file);
    while (reader.opened == 1)
        cv_loop_run_once(loop);
    return reader;
}

static int read_file(struct cv_file *file, struct reader *reader, uint64_t offset, size_t len)
{
    reader->read = 1;
    cv_file_read(file, offset, len);
    while (reader->read == 1)
        cv_loop_run_once(loop);
    return reader->read;
}

static void what_can_be_opened(void **state)
{
    (void)state;
    struct reader reader = open_file("a/b/file.txt", NULL);
    assert_int_equal(reader.opened, CV_OK);
    assert_false(reader.info.folder);
    assert_int_equal(reader.info.size, 10);
    assert_true(reader.info.modified_s > 1700000000);
    cv_file_close(&reader.file);
    assert_null(reader.file);

    reader = open_file("", "index.html");
    assert_int_equal(reader.info.size, 4);
    cv_file_close(&reader.file);
    reader = open_file("a", "index.html");
    assert_int_equal(reader.info.size, 1);
    cv_file_close(&reader.file);
    reader = open_file("zero", NULL);
    assert_int_equal(reader.opened, CV_OK);
    assert_int_equal(reader.info.size, 0);
    cv_file_close(&reader.file);
    reader = open_file("a/b", NULL);
    assert_int_equal(reader.opened, CV_OK);
    assert_true(reader.info.folder);
    cv_file_close(&reader.file);
}

static void what_cannot(void **state)
{
    (void)state;
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    snprintf(name.sun_path, sizeof name.sun_path, "%s/socket", root);
    assert_int_equal(bind(fd, (struct sockaddr *)&name, sizeof name), 0);
    close(fd);
    static const struct {
        const char *path;
        const char *index;
        int code;
    } bad[] = {
        {"nothing", NULL, CV_E_NOT_FOUND},      {"empty", "index.html", CV_E_NOT_FOUND},
        {"zero", "index.html", CV_E_NOT_FOUND}, {"out", NULL, CV_E_NOT_FOUND},
        {"up/secret", NULL, CV_E_NOT_FOUND},    {"fifo", NULL, CV_E_DENIED},
        {"socket", NULL, CV_E_DENIED},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct reader reader = open_file(bad[i].path, bad[i].index);
        assert_int_equal(reader.opened, bad[i].code);
        cv_file_close(&reader.file);
    }
    struct reader lost = {.opened = 1, .read = 1};
    lost.file = cv_file_open(&disk, "/nonexistent/site", "x", NULL, &user, &lost);
    while (lost.opened == 1)
        cv_loop_run_once(loop);
    assert_int_equal(lost.opened, CV_E_NOT_FOUND);
    cv_file_close(&lost.file);
}

static void shut_files_are_denied(void **state)
{
    (void)state;
    bool is_root = geteuid() == 0; // to whom nothing is shut
    file_write(in_base("root/shut/file"), "x");
    assert_int_equal(chmod(in_base("root/shut/file"), 0), 0);
    assert_int_equal(chmod(base, 0755), 0);
    if (is_root)
        assert_int_equal(seteuid(65534), 0);
    struct reader reader = open_file("shut/file", NULL);
    if (is_root)
        assert_int_equal(seteuid(0), 0);
    assert_int_equal(reader.opened, CV_E_DENIED);
    cv_file_close(&reader.file);
}

static struct reader reading; // stays where its file knows it

static void open_reading(const char *path)
{
    reading = (struct reader){.opened = 1, .read = 1};
    reading.file = cv_file_open(&disk, root, path, NULL, &user, &reading);
    while (reading.opened == 1)
        cv_loop_run_once(loop);
    assert_int_equal(reading.opened, CV_OK);
}

static void parts_are_read(void **state)
{
    (void)state;
    open_reading("in");
    assert_int_equal(read_file(reading.file, &reading, 3, 4), CV_OK);
    assert_int_equal(reading.block->len, 4);
    assert_memory_equal(reading.block->data, "3456", 4);
    cv_block_unref(&reading.block);
    assert_int_equal(read_file(reading.file, &reading, 0, 10), CV_OK);
    cv_block_unref(&reading.block);
    assert_int_equal(read_file(reading.file, &reading, 9, 2), CV_E_TRUNCATED);
    assert_null(reading.block);
    assert_int_equal(read_file(reading.file, &reading, 1000, 1), CV_E_TRUNCATED);
    assert_int_equal(read_file(reading.file, &reading, 9, 1), CV_OK); // it goes on
    cv_block_unref(&reading.block);
    cv_file_close(&reading.file);
}

// At every moment: before a job has begun, while it runs, in its callback.
static void bug_24_closed_at_any_time(void **state)
{
    (void)state;
    struct cv_file *none = NULL;
    cv_file_close(&none);
    for (int turns = 0; turns < 4; turns++) {
        struct reader early = {.opened = 1, .read = 1};
        early.file = cv_file_open(&disk, root, "in", NULL, &user, &early);
        for (int i = 0; i < turns && early.opened == 1; i++)
            cv_loop_run_once(loop);
        cv_file_close(&early.file);

        open_reading("in");
        cv_file_read(reading.file, 0, 10);
        for (int i = 0; i < turns && reading.read == 1; i++)
            cv_loop_run_once(loop);
        cv_file_close(&reading.file);
        cv_block_unref(&reading.block);
    }
    reading = (struct reader){.opened = 1, .read = 1, .closes = true};
    reading.file = cv_file_open(&disk, root, "in", NULL, &user, &reading);
    while (reading.opened == 1)
        cv_loop_run_once(loop);
    assert_null(reading.file);
    open_reading("in");
    reading.closes = true;
    assert_int_equal(read_file(reading.file, &reading, 0, 10), CV_OK);
    assert_null(reading.file);
    cv_block_unref(&reading.block);
}

// More than may run: they wait in line, each is told once, and those that are closed are not.
static void many_wait_in_line(void **state)
{
    (void)state;
    enum { COUNT = 200 };
    static struct reader readers[COUNT];
    for (int i = 0; i < COUNT; i++) {
        readers[i] = (struct reader){.opened = 1, .read = 1};
        readers[i].file = cv_file_open(&disk, root, "index.html", NULL, &user, &readers[i]);
        assert_true(disk.running <= CV_LIMIT_FILE_JOBS);
    }
    for (int i = 0; i < COUNT; i += 3)
        cv_file_close(&readers[i].file);
    for (int i = 0; i < COUNT; i++) {
        while (readers[i].file && readers[i].opened == 1) {
            assert_true(disk.running <= CV_LIMIT_FILE_JOBS);
            cv_loop_run_once(loop);
        }
        assert_int_equal(readers[i].opened, i % 3 ? CV_OK : 1);
    }
    for (int i = 0; i < COUNT; i++)
        cv_file_close(&readers[i].file);
}

// The loop is freed with jobs on their way and in line: stop_loop sees that nothing is left.
static void freed_with_jobs_on_their_way(void **state)
{
    (void)state;
    static struct reader readers[20];
    for (int i = 0; i < 20; i++) {
        readers[i] = (struct reader){.opened = 1, .read = 1};
        readers[i].file = cv_file_open(&disk, root, "index.html", NULL, &user, &readers[i]);
        cv_loop_run_once(loop);
    }
    for (int i = 0; i < 20; i++)
        cv_file_close(&readers[i].file);
}

static int files_open(void)
{
    int count = 0;
    for (int fd = 0; fd < 256; fd++)
        count += fcntl(fd, F_GETFD) >= 0;
    return count;
}

static void no_descriptor_is_left(void **state)
{
    (void)state;
    int before = files_open();
    struct cv_loop *other = cv_loop_new();
    struct cv_disk its;
    cv_disk_init(&its, other);
    for (int i = 0; i < 10; i++) {
        struct reader reader = {.opened = 1, .read = 1};
        const char *path = i % 2 ? "index.html" : "a";
        reader.file = cv_file_open(&its, root, path, NULL, &user, &reader);
        while (reader.opened == 1)
            cv_loop_run_once(other);
        cv_file_close(&reader.file);
    }
    cv_loop_free(other);
    assert_int_equal(files_open(), before);
}

static bool open_and_read(void *arg)
{
    (void)arg;
    reading = (struct reader){.opened = 1, .read = 1};
    reading.file = cv_file_open(&disk, root, "in", NULL, &user, &reading);
    if (!reading.file)
        return false;
    while (reading.opened == 1)
        cv_loop_run_once(loop);
    bool ok = reading.opened == CV_OK && read_file(reading.file, &reading, 0, 10) == CV_OK;
    cv_block_unref(&reading.block);
    cv_file_close(&reading.file);
    return ok;
}

static void every_allocation_fails_once(void **state)
{
    (void)state;
    fail_nth(open_and_read, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bug_17_no_link_leads_out_of_the_folder),
        cmocka_unit_test_setup_teardown(what_can_be_opened, start_loop, stop_loop),
        cmocka_unit_test_setup_teardown(what_cannot, start_loop, stop_loop),
        cmocka_unit_test_setup_teardown(shut_files_are_denied, start_loop, stop_loop),
        cmocka_unit_test_setup_teardown(parts_are_read, start_loop, stop_loop),
        cmocka_unit_test_setup_teardown(bug_24_closed_at_any_time, start_loop, stop_loop),
        cmocka_unit_test_setup_teardown(many_wait_in_line, start_loop, stop_loop),
        cmocka_unit_test_setup_teardown(freed_with_jobs_on_their_way, start_loop, stop_loop),
        cmocka_unit_test(no_descriptor_is_left),
        cmocka_unit_test_setup_teardown(every_allocation_fails_once, start_loop, stop_loop),
    };
    return cmocka_run_group_tests(tests, make_tree, drop_tree);
}

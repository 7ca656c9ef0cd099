// Sends an FLV file to a server, in real time: publish FILE.flv rtmp://host/live/name?key=KEY
//     cc publish.c $(pkg-config --cflags --libs culvert) -o publish
#include <culvert/culvert.h>

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int fail(const char *why)
{
    fprintf(stderr, "publish: %s\n", why);
    return 1;
}

int main(int argc, char **argv)
{
    FILE *file = argc == 3 ? fopen(argv[1], "rb") : NULL;
    if (!file)
        return fail("usage: publish FILE.flv URL, with a file that can be read");
    struct culvert_config config = {.size = sizeof config, .url = argv[2]};
    struct culvert *culvert = culvert_connect(&config);
    int result = culvert_publish(culvert, NULL) == CULVERT_OK ? 0 : fail(culvert_why(culvert));

    const struct culvert_event *event;
    char data[4096];
    uint32_t ts_ms = 0; // of the newest message that was sent
    int64_t start_ms = now_ms();
    for (bool eof = false; result == 0;) {
        int64_t left_ms = eof ? 1000 : start_ms + ts_ms - now_ms();
        int got = culvert_wait(culvert, &event, left_ms > 0 ? (int)left_ms : 0);
        if (got == CULVERT_E_ENDED)
            break;
        if (got > 0 && event->type == CULVERT_EVENT_THROUGH)
            fprintf(stderr, "publish: through by %s\n", event->way);
        if (got > 0 && event->type == CULVERT_EVENT_ENDED && event->error)
            result = fail(event->why);
        if (got > 0 || left_ms > 0)
            continue;
        size_t len = fread(data, 1, sizeof data, file);
        if (culvert_send_flv(culvert, data, len, &ts_ms) < 0)
            result = fail(culvert_why(culvert));
        if ((eof = len == 0))
            culvert_close(culvert);
    }
    culvert_free(culvert);
    fclose(file);
    return result;
}

// Publishes an FLV file through librtmp in real time, the way OBS does: Set Chunk Size 4096 right
// after the handshake, before connect; then write a tag when its time has come and read only when
// there is something to read. Test tool only: usage librtmp_publish URL FILE.flv
#include <errno.h>
#include <librtmp/log.h>
#include <librtmp/rtmp.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { FLV_HEADER_BYTES = 13, TAG_HEADER_BYTES = 11, BACK_POINTER_BYTES = 4, CHUNK_BYTES = 4096 };

static uint64_t now_ms(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

static uint32_t get_u24(const uint8_t *p)
{
    return (uint32_t)p[0] << 16 | (uint32_t)p[1] << 8 | p[2];
}

// Reads one whole tag with its back pointer into *tag (the caller frees it). Returns its size, 0 at
// the end.
static size_t read_tag(FILE *file, uint8_t **tag)
{
    uint8_t head[TAG_HEADER_BYTES];
    if (fread(head, 1, sizeof head, file) != sizeof head)
        return 0;
    size_t size = sizeof head + get_u24(head + 1) + BACK_POINTER_BYTES;
    uint8_t *data = malloc(size);
    if (!data)
        return 0;
    memcpy(data, head, sizeof head);
    if (fread(data + sizeof head, 1, size - sizeof head, file) != size - sizeof head) {
        free(data);
        return 0;
    }
    *tag = data;
    return size;
}

// Takes what the server says until the time has come. Returns 0, or -1 when the connection is gone.
static int serve_socket_until(RTMP *rtmp, uint64_t due_ms)
{
    for (;;) {
        uint64_t now = now_ms();
        int wait_ms = now < due_ms ? (int)(due_ms - now) : 0;
        struct pollfd fd = {.fd = RTMP_Socket(rtmp), .events = POLLIN};
        if (poll(&fd, 1, wait_ms) <= 0)
            return 0;
        RTMPPacket packet = {0};
        if (!RTMP_ReadPacket(rtmp, &packet) || !RTMP_IsConnected(rtmp))
            return -1;
        if (RTMPPacket_IsReady(&packet)) {
            RTMP_ClientPacket(rtmp, &packet);
            RTMPPacket_Free(&packet);
        }
    }
}

// librtmp wants its own kind of string, which it does not change.
static AVal text_val(const char *text)
{
    return (AVal){.av_val = (char *)(uintptr_t)text, .av_len = (int)strlen(text)};
}

// What connect says; librtmp's own connect would go out before our Set Chunk Size.
static int send_connect(RTMP *rtmp)
{
    AVal names[] = {text_val("app"), text_val("type"), text_val("flashVer"), text_val("swfUrl"),
                    text_val("tcUrl")};
    AVal kind = text_val("nonprivate"), version = text_val("FMLE/3.0 (compatible; FMSc/1.0)");
    AVal connect = text_val("connect");
    AVal *values[] = {&rtmp->Link.app, &kind, &version, &rtmp->Link.tcUrl, &rtmp->Link.tcUrl};
    char buffer[4096], *end = buffer + sizeof buffer;
    char *out = AMF_EncodeString(buffer + RTMP_MAX_HEADER_SIZE, end, &connect);
    out = AMF_EncodeNumber(out, end, ++rtmp->m_numInvokes);
    *out++ = AMF_OBJECT;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        out = AMF_EncodeNamedString(out, end, &names[i], values[i]);
        if (!out)
            return -1;
    }
    out = AMF_EncodeInt24(out, end, AMF_OBJECT_END);
    RTMPPacket packet = {.m_headerType = RTMP_PACKET_SIZE_LARGE,
                         .m_packetType = RTMP_PACKET_TYPE_INVOKE,
                         .m_nChannel = 3,
                         .m_body = buffer + RTMP_MAX_HEADER_SIZE};
    packet.m_nBodySize = (uint32_t)(out - packet.m_body);
    return RTMP_SendPacket(rtmp, &packet, TRUE) ? 0 : -1;
}

// TCP, handshake, Set Chunk Size, connect, and all the rest up to Publish.Start. What is handed to
// RTMP_Connect is sent in the place of its connect command.
static int open_stream(RTMP *rtmp, char *url)
{
    char buffer[RTMP_MAX_HEADER_SIZE + 4];
    RTMPPacket packet = {.m_headerType = RTMP_PACKET_SIZE_LARGE,
                         .m_packetType = RTMP_PACKET_TYPE_CHUNK_SIZE,
                         .m_nChannel = 2,
                         .m_nBodySize = 4,
                         .m_body = buffer + RTMP_MAX_HEADER_SIZE};
    AMF_EncodeInt32(packet.m_body, packet.m_body + 4, CHUNK_BYTES);
    if (!RTMP_SetupURL(rtmp, url))
        return -1;
    RTMP_EnableWrite(rtmp);
    if (!RTMP_Connect(rtmp, &packet))
        return -1;
    rtmp->m_outChunkSize = CHUNK_BYTES;
    if (send_connect(rtmp) || !RTMP_ConnectStream(rtmp, 0))
        return -1;
    return 0;
}

static int publish_file(RTMP *rtmp, FILE *file)
{
    uint64_t start_ms = now_ms();
    uint8_t *tag = NULL;
    size_t size;
    while ((size = read_tag(file, &tag))) {
        uint32_t stamp_ms = get_u24(tag + 4) | (uint32_t)tag[7] << 24;
        int failed = serve_socket_until(rtmp, start_ms + stamp_ms);
        if (!failed)
            failed = RTMP_Write(rtmp, (const char *)tag, (int)size) <= 0;
        free(tag);
        if (failed || !RTMP_IsConnected(rtmp))
            return -1;
    }
    return 0;
}

int main(int argc, char **argv)
{
    if (argc != 3) {
        fprintf(stderr, "usage: librtmp_publish URL FILE.flv\n");
        return 2;
    }
    FILE *file = fopen(argv[2], "rb");
    if (!file || fseek(file, FLV_HEADER_BYTES, SEEK_SET)) {
        fprintf(stderr, "%s: %s\n", argv[2], strerror(errno));
        return 2;
    }
    RTMP_LogSetLevel(RTMP_LOGWARNING);
    RTMP *rtmp = RTMP_Alloc();
    RTMP_Init(rtmp);
    int failed = open_stream(rtmp, argv[1]) || publish_file(rtmp, file);
    if (failed)
        fprintf(stderr, "publish failed\n");
    RTMP_Close(rtmp);
    RTMP_Free(rtmp);
    fclose(file);
    return failed ? 1 : 0;
}

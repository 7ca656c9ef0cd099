#include "proto/content_type.h"

struct row {
    const char *extension;
    const char *type;
};

static const struct row rows[] = {
    // pages
    {"html", "text/html; charset=utf-8"},
    {"htm", "text/html; charset=utf-8"},
    {"css", "text/css; charset=utf-8"},
    {"js", "text/javascript; charset=utf-8"},
    {"mjs", "text/javascript; charset=utf-8"},
    {"json", "application/json"},
    {"map", "application/json"},
    {"webmanifest", "application/manifest+json"},
    {"wasm", "application/wasm"},
    {"xml", "text/xml; charset=utf-8"},
    {"xhtml", "application/xhtml+xml; charset=utf-8"},
    {"rss", "application/rss+xml; charset=utf-8"},
    {"atom", "application/atom+xml; charset=utf-8"},
    // text
    {"txt", "text/plain; charset=utf-8"},
    {"md", "text/markdown; charset=utf-8"},
    {"csv", "text/csv; charset=utf-8"},
    {"vtt", "text/vtt; charset=utf-8"},
    {"pdf", "application/pdf"},
    // pictures and fonts
    {"svg", "image/svg+xml; charset=utf-8"},
    {"png", "image/png"},
    {"jpg", "image/jpeg"},
    {"jpeg", "image/jpeg"},
    {"gif", "image/gif"},
    {"webp", "image/webp"},
    {"avif", "image/avif"},
    {"ico", "image/x-icon"},
    {"woff", "font/woff"},
    {"woff2", "font/woff2"},
    {"ttf", "font/ttf"},
    {"otf", "font/otf"},
    // sound and moving pictures
    {"m3u8", "application/vnd.apple.mpegurl"},
    {"ts", "video/mp2t"},
    {"mpd", "application/dash+xml"},
    {"m4s", "video/iso.segment"},
    {"mp4", "video/mp4"},
    {"m4v", "video/mp4"},
    {"m4a", "audio/mp4"},
    {"mov", "video/quicktime"},
    {"mkv", "video/x-matroska"},
    {"webm", "video/webm"},
    {"flv", "video/x-flv"},
    {"swf", "application/x-shockwave-flash"},
    {"mp3", "audio/mpeg"},
    {"aac", "audio/aac"},
    {"flac", "audio/flac"},
    {"wav", "audio/wav"},
    {"oga", "audio/ogg"},
    {"ogg", "audio/ogg"},
    {"opus", "audio/ogg"},
    {"ogv", "video/ogg"},
    // archives
    {"zip", "application/zip"},
    {"gz", "application/gzip"},
};

// Behind the last dot; empty when there is none in the last element.
static struct cv_text extension_of(struct cv_text path)
{
    size_t at = path.len;
    while (at > 0 && path.at[at - 1] != '.' && path.at[at - 1] != '/')
        at--;
    if (at == 0 || path.at[at - 1] == '/')
        return (struct cv_text){0};
    return cv_text_skip(path, at);
}

const char *cv_content_type_of(struct cv_text path)
{
    struct cv_text extension = extension_of(path);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (cv_text_is_nocase(extension, rows[i].extension))
            return rows[i].type;
    }
    return "application/octet-stream";
}

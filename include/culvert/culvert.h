// Culvert, the public C API. Every exported name begins with culvert_.
#ifndef CULVERT_H
#define CULVERT_H

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define CULVERT_API __attribute__((visibility("default")))
#else
#define CULVERT_API
#endif

// The version, as "0.1.0". Static text. Any thread.
CULVERT_API const char *culvert_version(void);

#ifdef __cplusplus
}
#endif

#endif

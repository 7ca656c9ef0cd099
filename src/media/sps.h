// Picture size out of a sequence parameter set: H.264 7.3.2.1.1, H.265 7.3.2.2.
#ifndef CV_MEDIA_SPS_H
#define CV_MEDIA_SPS_H

#include <stddef.h>
#include <stdint.h>

struct cv_sps {
    uint32_t width;  // pixels shown, after cropping; at most CV_LIMIT_VIDEO_SIDE
    uint32_t height; // the same
};

// `data` is one NALU with its header, without length or start code. 0, or CV_E_TRUNCATED or
// CV_E_SYNTAX with *out untouched.
int cv_sps_avc(struct cv_sps *out, const void *data, size_t len);
int cv_sps_hevc(struct cv_sps *out, const void *data, size_t len);

#endif

// The numbers of AMF3 that reader and writer share (section 3). For amf3*.c only.
#ifndef CV_PROTO_AMF3_WIRE_H
#define CV_PROTO_AMF3_WIRE_H

enum amf3_marker {
    MARK_UNDEFINED = 0x00,
    MARK_NULL = 0x01,
    MARK_FALSE = 0x02,
    MARK_TRUE = 0x03,
    MARK_INTEGER = 0x04,
    MARK_DOUBLE = 0x05,
    MARK_STRING = 0x06,
    MARK_XML_DOC = 0x07,
    MARK_DATE = 0x08,
    MARK_ARRAY = 0x09,
    MARK_OBJECT = 0x0a,
    MARK_XML = 0x0b,
    MARK_BYTES = 0x0c,
    MARK_VECTOR_INT = 0x0d,
    MARK_VECTOR_UINT = 0x0e,
    MARK_VECTOR_DOUBLE = 0x0f,
    MARK_VECTOR_OBJECT = 0x10,
    MARK_DICTIONARY = 0x11,
};

enum {
    U29_MAX = 0x1fffffff,
    INTEGER_MAX = 0x0fffffff,
    INTEGER_MIN = -0x10000000,
    LENGTH_MAX = 0x0fffffff, // a length or count shares its U29 with the reference flag
};

// The flags of an object's head, without the lowest bit; section 3.12.
enum {
    OBJECT_INLINE_TRAITS = 1, // else the rest is a reference to traits
    OBJECT_EXTERNAL = 2,
    OBJECT_DYNAMIC = 4,
};

#endif

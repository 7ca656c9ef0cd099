// The one table of error codes: CV_ERR(name, value, class, text).
//
// A function returns 0 (or a positive count) or one of these, which are negative. Callers act on
// the class and log the code. Included several times with different meanings of CV_ERR.

// class AGAIN: nothing is wrong, call again later
CV_ERR(AGAIN, -1, AGAIN, "would block")
// class GONE: the peer or the network went away
CV_ERR(CLOSED, -10, GONE, "connection closed by peer")
CV_ERR(RESET, -11, GONE, "connection reset")
CV_ERR(TIMEOUT, -12, GONE, "timed out")
CV_ERR(UNREACHABLE, -13, GONE, "could not connect")
CV_ERR(CONN_REFUSED, -16, GONE, "connection refused: nothing listens on that port")
// class PEER: the peer sent something that breaks the protocol
CV_ERR(TRUNCATED, -30, PEER, "data ends too early")
CV_ERR(SYNTAX, -31, PEER, "malformed data")
CV_ERR(HANDSHAKE_VERSION, -32, PEER, "handshake: unsupported RTMP version")
CV_ERR(CHUNK_CONTEXT, -33, PEER, "chunk: header refers to a chunk stream that was never opened")
CV_ERR(CHUNK_HEADER, -34, PEER, "chunk: new message header in the middle of a message")
CV_ERR(CHUNK_SIZE, -35, PEER, "chunk: invalid chunk size")
CV_ERR(CONTROL, -36, PEER, "malformed control message")
CV_ERR(AMF_MARKER, -37, PEER, "amf: unknown or forbidden type marker")
CV_ERR(AMF_REF, -38, PEER, "amf: reference to a value that does not exist")
CV_ERR(AMF_EXTERNAL, -39, PEER, "amf: externalizable class that is not known")
CV_ERR(COMMAND, -40, PEER, "malformed or misplaced command")
CV_ERR(FLV, -41, PEER, "malformed FLV data")
CV_ERR(HTTP, -45, PEER, "malformed or ambiguous HTTP message")
CV_ERR(WEBSOCKET, -46, PEER, "malformed or misplaced WebSocket data")
CV_ERR(SEQUENCE, -47, PEER, "tunnel: request out of sequence")
CV_ERR(PROXY_HEADER, -48, PEER, "malformed PROXY protocol header")
CV_ERR(TLS, -49, PEER, "malformed or unacceptable TLS")
CV_ERR(NOT_TLS, -50, PEER, "the other side does not speak TLS")
CV_ERR(TLS_ALERT, -51, PEER, "the other side refused by a TLS alert")
// class REFUSED: understood, and the answer is no
CV_ERR(REFUSED, -60, REFUSED, "refused")
CV_ERR(NOT_FOUND, -61, REFUSED, "not found")
CV_ERR(BUSY, -62, REFUSED, "name is in use")
CV_ERR(BAD_KEY, -63, REFUSED, "publish key is missing or wrong")
CV_ERR(CERT_UNTRUSTED, -64, REFUSED, "the certificate is from nobody who is trusted here")
CV_ERR(CERT_NAME, -65, REFUSED, "the certificate is for another host")
CV_ERR(CERT_TIME, -66, REFUSED, "the certificate has expired, or is not valid yet")
CV_ERR(CERT_INVALID, -67, REFUSED, "the certificate cannot be accepted")
// class USAGE: the caller, the command line or the configuration is wrong
CV_ERR(USAGE, -80, USAGE, "wrong usage")
CV_ERR(CONFIG, -81, USAGE, "configuration error")
CV_ERR(URL, -82, USAGE, "malformed URL")
// class NOMEM
CV_ERR(NOMEM, -90, NOMEM, "out of memory")
// class LIMIT: a named cap of base/limits.h was reached
CV_ERR(TOO_LONG, -100, LIMIT, "message longer than its limit")
CV_ERR(TOO_DEEP, -101, LIMIT, "values nested too deeply")
CV_ERR(TOO_MANY, -102, LIMIT, "too many")
CV_ERR(QUEUE_FULL, -103, LIMIT, "queue is full")
// class SYSTEM: the machine said no (file, socket, store)
CV_ERR(SYSTEM, -110, SYSTEM, "system error")
CV_ERR(STORE, -111, SYSTEM, "store error")
CV_ERR(DENIED, -116, SYSTEM, "not permitted")
CV_ERR(PORT_IN_USE, -117, SYSTEM, "port is in use by another program")
CV_ERR(NO_DESCRIPTORS, -118, SYSTEM, "out of file descriptors")

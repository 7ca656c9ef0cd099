"""libssl by its C functions, for what Python's ssl does not let a client do: new keys, and nothing read."""
import ctypes
import ctypes.util

from rtmp_raw import Closed
from tls_kit import Wire

UPDATE_NOT_REQUESTED, UPDATE_REQUESTED = 0, 1

_ssl = ctypes.CDLL(ctypes.util.find_library("ssl"))
for _name in ("TLS_client_method", "SSL_CTX_new", "SSL_new"):
    getattr(_ssl, _name).restype = ctypes.c_void_p
_ssl.SSL_CTX_new.argtypes = _ssl.SSL_new.argtypes = [ctypes.c_void_p]
for _name in ("SSL_connect", "SSL_do_handshake", "SSL_free", "SSL_CTX_free"):
    getattr(_ssl, _name).argtypes = [ctypes.c_void_p]
_ssl.SSL_set_fd.argtypes = _ssl.SSL_key_update.argtypes = _ssl.SSL_get_error.argtypes = [ctypes.c_void_p, ctypes.c_int]
_ssl.SSL_write.argtypes = _ssl.SSL_read.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int]


class RawTls(Wire):
    """A client of TLS 1.3 behind its handshake. Blocks; raises Closed when the connection is no more."""

    def __init__(self, port, **kwargs):
        super().__init__(port, **kwargs)
        self.sock.setblocking(True)
        self.context = _ssl.SSL_CTX_new(_ssl.TLS_client_method())
        self.ssl = _ssl.SSL_new(self.context)
        _ssl.SSL_set_fd(self.ssl, self.sock.fileno())
        self._check(_ssl.SSL_connect(self.ssl))

    def __exit__(self, *args):
        _ssl.SSL_free(self.ssl)
        _ssl.SSL_CTX_free(self.context)
        super().__exit__(*args)

    def _check(self, result):
        if result <= 0:
            raise Closed(f"SSL error {_ssl.SSL_get_error(self.ssl, result)}")
        return result

    def update_keys(self, kind=UPDATE_NOT_REQUESTED):
        """Sends a KeyUpdate, and reads nothing."""
        self._check(_ssl.SSL_key_update(self.ssl, kind))
        self._check(_ssl.SSL_do_handshake(self.ssl))

    def write(self, data):
        self._check(_ssl.SSL_write(self.ssl, data, len(data)))

    def read(self):
        buffer = ctypes.create_string_buffer(1 << 16)
        size = self._check(_ssl.SSL_read(self.ssl, buffer, len(buffer)))
        return buffer.raw[:size]

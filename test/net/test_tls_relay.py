"""`culvert relay` in a network that lets nothing but TLS through from some moment on."""
import pytest

from test_relay_networks import changes, relay  # noqa: F401  (a fixture)
from tls_networks import TLS_ONLY, TlsFirewall


@pytest.mark.parametrize("how", TLS_ONLY)
def test_to_tls_in_mid_stream(net, tls_serving, trust, clip, relay, tmp_path, tell, how):  # noqa: F811
    known = len(tls_serving.log())
    with TlsFirewall(net, "open", trust=trust) as wall:
        gap_s = changes(net, wall, relay, TLS_ONLY[how], clip, f"tls-{how}", tmp_path, "--ca", wall.ca_file)
        tell(f"relay    to TLS only, {how}: longest time without media {gap_s * 1000:.0f} ms")
        assert len(tls_serving.connects(known)) >= 2

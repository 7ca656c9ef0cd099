"""Certificates for tests: authorities of our own, and what they sign. Nothing here is trusted by any machine.

    ours = Authority(folder, "ours")
    cert_file, key_file = ours.issue("culvert.test")
"""
import collections
import datetime
import ipaddress
import pathlib
import ssl

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

Issued = collections.namedtuple("Issued", "cert key")  # files, PEM


def days(number):
    """So many days from now."""
    return datetime.datetime.utcnow() + datetime.timedelta(days=number)


def _new_key(kind):
    return rsa.generate_private_key(65537, 2048) if kind == "rsa" else ec.generate_private_key(ec.SECP256R1())


def _name(text):
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _general(name):
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _usage(signs_certificates):
    return x509.KeyUsage(digital_signature=True, key_cert_sign=signs_certificates, crl_sign=signs_certificates,
                         content_commitment=False, key_encipherment=False, data_encipherment=False,
                         key_agreement=False, encipher_only=False, decipher_only=False)


def tls_client(ca_file=None):
    """A context that checks certificates against this authority; without one it takes anything."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.set_alpn_protocols(["http/1.1"])
    if ca_file:
        context.load_verify_locations(ca_file)
    else:
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


class Authority:
    """Signs with ECDSA P-256. Its files, and those of what it issues, lie in the folder."""

    def __init__(self, folder, name):
        self.folder, self.name, self.count, self.contexts = pathlib.Path(folder), f"{name}, of a test", 0, {}
        self.folder.mkdir(parents=True, exist_ok=True)
        self.key = _new_key("ecdsa")
        self.cert = self._sign(self._builder(self.name, self.key, days(-2), days(30), True))
        self.ca_file = self._write(f"{name}.pem", self.cert)

    def _builder(self, subject, key, begin, end, is_authority):
        builder = x509.CertificateBuilder().subject_name(_name(subject)).issuer_name(_name(self.name))
        builder = builder.public_key(key.public_key()).serial_number(x509.random_serial_number())
        builder = builder.not_valid_before(begin).not_valid_after(end)
        builder = builder.add_extension(x509.BasicConstraints(is_authority, None), True)
        builder = builder.add_extension(_usage(is_authority), True)
        builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)
        return builder.add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), False)

    def _sign(self, builder):
        return builder.sign(self.key, hashes.SHA256())

    def _write(self, name, cert):
        path = self.folder / name
        path.write_bytes(cert.public_bytes(serialization.Encoding.PEM))
        return path

    def issue(self, *names, begin=None, end=None, kind="ecdsa"):
        """For these host names and addresses; begin, end: as days() gives them. kind: of the key, or "rsa"."""
        self.count += 1
        key = _new_key(kind)
        builder = self._builder(names[0], key, begin or days(-1), end or days(10), False)
        builder = builder.add_extension(x509.SubjectAlternativeName([_general(name) for name in names]), False)
        builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), False)
        cert_file = self._write(f"{self.count}.crt", self._sign(builder))
        key_file = self.folder / f"{self.count}.key"
        key_file.touch(0o600)
        key_file.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                                               serialization.NoEncryption()))
        return Issued(cert_file, key_file)

    def context(self, *names, **when):
        """What a server of these names shows its clients."""
        if (names, *when.items()) not in self.contexts:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.set_alpn_protocols(["http/1.1"])
            context.load_cert_chain(*self.issue(*names, **when))
            self.contexts[(names, *when.items())] = context
        return self.contexts[(names, *when.items())]

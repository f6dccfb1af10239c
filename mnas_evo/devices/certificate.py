"""A certificate made on the spot, for a server that browsers on the same network open once."""

import datetime
import hashlib
import ipaddress
import ssl
import tempfile
from collections.abc import Sequence
from pathlib import Path

from mnas_evo.errors import DeviceError

_DAYS = 7  # a campaign's longest life, well below what phones still accept


def self_signed(hosts: Sequence[str]) -> tuple[ssl.SSLContext, str]:
    """A server's TLS context for these names and addresses, and its certificate's SHA-256 fingerprint.

    The key is made anew each time and lies on the disk only while it is read.

    Raises:
        DeviceError: the package cryptography is not installed.
    """
    try:
        from cryptography import x509
        from cryptography.hazmat.primitives import hashes, serialization
        from cryptography.hazmat.primitives.asymmetric import ec
        from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
    except ImportError as error:
        raise DeviceError(
            "https needs the package cryptography, which is not installed: pip install 'mnas-evo[browser]'"
        ) from error
    names: list[x509.GeneralName] = []
    for host in hosts:
        try:
            names.append(x509.IPAddress(ipaddress.ip_address(host)))
        except ValueError:
            names.append(x509.DNSName(host))
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "mnas-evo")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))  # clocks of phones are not always right
        .not_valid_after(now + datetime.timedelta(days=_DAYS))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(key, hashes.SHA256())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    with tempfile.TemporaryDirectory() as folder:  # only its owner may look into it
        both = Path(folder) / "both.pem"
        both.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
            + certificate.public_bytes(serialization.Encoding.PEM)
        )
        context.load_cert_chain(both)
    return context, fingerprint_of(certificate.public_bytes(serialization.Encoding.DER))


def fingerprint_of(certificate: bytes) -> str:
    """SHA-256 of a certificate (DER), in pairs, as browsers show it."""
    return hashlib.sha256(certificate).digest().hex(":").upper()

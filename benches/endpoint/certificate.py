"""Certificates for a relay at 127.0.0.1, valid for a day: root.pem, relay.pem, relay.key.

    python benches/endpoint/certificate.py FOLDER

Runs in the environment of ProxyStore 1.1, whose peers bring the package `cryptography`.
"""

from __future__ import annotations

import datetime
import ipaddress
import sys
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec


def main() -> None:
    folder = Path(sys.argv[1])
    now = datetime.datetime.now(datetime.timezone.utc)
    root_key = ec.generate_private_key(ec.SECP256R1())
    root_name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, 'benchmark')])
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, '127.0.0.1')])
    key = ec.generate_private_key(ec.SECP256R1())

    def builder(subject: x509.Name, public: ec.EllipticCurvePublicKey, ca: bool):
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(root_name)
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(hours=1))
            .not_valid_after(now + datetime.timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), True)
        )

    root = builder(root_name, root_key.public_key(), True).sign(
        root_key, hashes.SHA256()
    )
    address = x509.IPAddress(ipaddress.ip_address('127.0.0.1'))
    relay = (
        builder(name, key.public_key(), False)
        .add_extension(x509.SubjectAlternativeName([address]), False)
        .sign(root_key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    (folder / 'root.pem').write_bytes(root.public_bytes(pem))
    (folder / 'relay.pem').write_bytes(relay.public_bytes(pem))
    (folder / 'relay.key').write_bytes(
        key.private_bytes(
            pem,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    (folder / 'relay.key').chmod(0o600)


if __name__ == '__main__':
    main()

"""TLS of servers and of channels to them, from files. One place, so that gRPC and HTTP ask for the same."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

from msgspec import Struct

from trimtab.errors import TrimtabError

if TYPE_CHECKING:
    from pathlib import Path

    import grpc


class ServerTls(Struct, frozen=True):
    """The files of a TLS server, all PEM. With `client_ca`, clients must show a certificate that it signed."""

    cert: Path
    key: Path
    client_ca: Path | None = None

    @classmethod
    def from_flags(cls, cert: Path | None, key: Path | None, client_ca: Path | None) -> ServerTls | None:
        """From `--tls-cert`, `--tls-key`, `--tls-client-ca`; None when none is given."""
        if cert and key:
            return cls(cert, key, client_ca)
        if cert or key or client_ca:
            given = [flag for flag, value in (("--tls-cert", cert), ("--tls-key", key)) if value] or ["--tls-client-ca"]
            raise TrimtabError("incomplete TLS flags", expected="--tls-cert and --tls-key together", got=given[0])
        return None

    def grpc_credentials(self) -> grpc.ServerCredentials:
        """For `grpc.aio.Server.add_secure_port`."""
        import grpc

        self.ssl_context()  # gRPC would start with a key that does not fit and then fail every handshake in silence
        return grpc.ssl_server_credentials(
            [(_read(self.key), _read(self.cert))],
            root_certificates=_read(self.client_ca) if self.client_ca else None,
            require_client_auth=self.client_ca is not None,
        )

    def ssl_context(self) -> ssl.SSLContext:
        """For an HTTP server. TLS 1.2 or newer."""
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        try:
            context.load_cert_chain(self.cert, self.key)
            if self.client_ca:
                context.load_verify_locations(self.client_ca)
                context.verify_mode = ssl.CERT_REQUIRED
        except OSError as error:  # ssl.SSLError is one
            files = ", ".join(str(path) for path in (self.cert, self.key, self.client_ca) if path)
            raise TrimtabError(where=files, expected="a PEM certificate and its key", got=str(error)) from None
        return context


class ClientTls(Struct, frozen=True):
    """The files of a TLS client, all PEM. Without `ca`, the system's authorities; `cert` and `key` for mutual TLS."""

    ca: Path | None = None
    cert: Path | None = None
    key: Path | None = None

    def grpc_credentials(self) -> grpc.ChannelCredentials:
        """For `grpc.aio.secure_channel` and `grpc.secure_channel`."""
        import grpc

        return grpc.ssl_channel_credentials(
            root_certificates=_read(self.ca) if self.ca else None,
            private_key=_read(self.key) if self.key else None,
            certificate_chain=_read(self.cert) if self.cert else None,
        )


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise TrimtabError(where=str(path), expected="a readable PEM file", got=error.strerror or str(error)) from None

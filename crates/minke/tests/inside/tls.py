"""Connects to a TLS server on the loopback: its certificate is refused by default and accepted when it is known."""

import socket
import ssl
import sys

port = int(sys.argv[1])


def connect(context: ssl.SSLContext) -> str:
    with socket.create_connection(("localhost", port), timeout=20) as plain:
        with context.wrap_socket(plain, server_hostname="localhost") as secure:
            return secure.version()


try:
    connect(ssl.create_default_context())
except ssl.SSLCertVerificationError as error:
    print("refused:", error.verify_message)
known = ssl.create_default_context()
known.load_verify_locations("/ca.pem")
print("trusted:", connect(known))

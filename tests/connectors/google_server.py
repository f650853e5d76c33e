"""A server of the protocol that Google Cloud Storage shares with S3, as a program: its port.

Google's XML requests are S3's. So moto answers them, once the
requests seem to be signed as S3 wants it: a token of Google's says nothing to it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from moto.moto_server.werkzeug_app import DomainDispatcherApplication
from moto.moto_server.werkzeug_app import create_backend_app
from werkzeug.serving import run_simple

SIGNED = 'AWS4-HMAC-SHA256 Credential=me/20300101/us-east-1/s3/aws4_request'
moto = DomainDispatcherApplication(create_backend_app)


def answer(environ: dict[str, Any], start: Callable[..., Any]) -> Any:
    environ['HTTP_AUTHORIZATION'] = SIGNED
    return moto(environ, start)


if __name__ == '__main__':
    run_simple('127.0.0.1', int(sys.argv[1]), answer, threaded=True)

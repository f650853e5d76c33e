"""URLs that hold a secret: they work here, and go nowhere else."""

from __future__ import annotations

from typing import NoReturn


class SecretUrl(str):
    """A URL with a password in it. It does not print, and cannot be pickled."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"'{self.partition('://')[0]}://***'"

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        from proxystore.exceptions import InlineSecretError

        scheme = self.partition('://')[0].partition('+')[0]
        if scheme in ('s3', 'az'):
            kind, variable, place = scheme, 'MY_SECRET_KEY', 'bucket'
        else:
            scheme = kind = 'redis'
            variable, place = 'REDIS_PASSWORD', 'host'
        raise InlineSecretError(
            'This store was given a password as it is, which does not travel '
            'in proxies. Name an environment variable that the workers have, '
            f"'{scheme}://user:${{{variable}}}@{place}', or a profile, "
            f"'{kind}+profile://name', which each machine reads from its file "
            "'profiles' in $PROXYSTORE_HOME; or say allow_secret=True to send "
            'the password in every proxy.'
        )

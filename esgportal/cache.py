"""The cache in Redis, which may be away: then nothing is cached, and nothing fails."""

from __future__ import annotations

import logging
from typing import Any

from django.core.cache.backends import redis as django_redis
from redis.exceptions import RedisError

logger = logging.getLogger(__name__)


def _note(error: RedisError) -> None:
    logger.warning("The cache is not available: %s", error)


class RedisCache(django_redis.RedisCache):
    """Answers as an empty cache while Redis is away. Limits on sign-in attempts, its only use, then do not hold."""

    def get(self, key: Any, default: Any = None, version: int | None = None) -> Any:
        try:
            return super().get(key, default, version)
        except RedisError as error:
            _note(error)
            return default

    def add(self, *args: Any, **kwargs: Any) -> bool:
        try:
            return super().add(*args, **kwargs)
        except RedisError as error:
            _note(error)
            return True

    def set(self, *args: Any, **kwargs: Any) -> None:
        try:
            super().set(*args, **kwargs)
        except RedisError as error:
            _note(error)

    def delete(self, *args: Any, **kwargs: Any) -> bool:
        try:
            return super().delete(*args, **kwargs)
        except RedisError as error:
            _note(error)
            return False

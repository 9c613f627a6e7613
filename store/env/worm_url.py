"""How a URL becomes a write-once store: a folder, or a bucket."""

from store.env.objects import Bucket, place_of
from store.env.world import Clock
from store.env.worm import WormStore
from store.env.worm_folder import FolderWorm


def open_worm(url: str, clock: Clock, *, endpoint: str = "", region: str = "", owner: str = "") -> WormStore:
    """The store a URL names: a folder (a path, or file://…), or s3://bucket/prefix. `clock` is a folder's.

    S3's credentials come from where its tools look for them: AWS_* in the environment, profiles, the machine's role.
    ConfigError: there is no such kind of URL. Nothing is asked of the store yet, and no folder made.
    """
    place = place_of(url, "an audit trail")
    if isinstance(place, Bucket):
        from store.env.worm_s3 import S3Worm  # noqa: PLC0415  # boto3 takes a third of a second to import.

        return S3Worm(place.name, place.prefix, endpoint=endpoint, region=region, owner=owner)
    return FolderWorm(place, clock)

"""Every stream is re-authorised regularly, and at once when a person's session or roles changed."""

import asyncio
import logging
from functools import partial
from uuid import UUID

from django.db import Error as DatabaseError

from eaip.live import door
from eaip.live.hub import Hub, Stream

log = logging.getLogger(__name__)

# What ends or changes somebody's rights. A membership's topic does not name the person, so all are asked.
PERSON = ("session:", "user:")
EVERYBODY = ("membership:", "workspace:")


async def recheck(hub: Hub, streams: set[Stream]) -> None:
    """Cut the streams of those who are signed out or see other workspaces than before; asked once per session."""
    by_session: dict[str, list[Stream]] = {}
    for stream in streams:
        by_session.setdefault(stream.session, []).append(stream)
    for session, alike in by_session.items():
        try:
            viewer = await hub.desk.run(partial(door.viewer_of, session))
        except DatabaseError:
            log.exception("streams could not be re-authorised")
            viewer = None
        for stream in alike:
            if stream.viewer != viewer:
                stream.cut()


async def recheck_regularly(hub: Hub, every: float) -> None:
    while True:
        await asyncio.sleep(every)
        await recheck(hub, set(hub.streams))


def concerned(hub: Hub, workspace: UUID, topics: frozenset[str]) -> set[Stream]:
    """Return the streams of people whose rights a hint may have changed."""
    if any(topic.startswith(EVERYBODY) for topic in topics):
        return {stream for stream in hub.streams if workspace in stream.viewer.workspaces}
    people = {topic.partition(":")[2] for topic in topics if topic.startswith(PERSON)}
    return {stream for stream in hub.streams if str(stream.viewer.user_id) in people}

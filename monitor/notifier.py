"""The notifications that the settings ask for."""

from monitor.database.pool import Database
from monitor.logs import node
from monitor.notifications.notifying import Notifying
from monitor.notifications.operators import Operators
from monitor.notifications.sending import Sender
from monitor.settings import Settings


def notifying(settings: Settings, database: Database) -> Notifying:
    """The component that sends notifications, operators' ones as the settings say."""
    operators = Operators(
        urls=settings.notify_urls,
        kinds=settings.notify_kinds,
        language=settings.notify_language,
        time_zone=settings.notify_time_zone,
        quiet_hours=settings.notify_quiet_hours,
        address=settings.public_url.rstrip("/"),
        health_seconds=settings.notify_health_seconds,
        daily_events=settings.daily_events,
        is_open=not settings.has_credentials,
    )
    sender = Sender(settings.notify_networks, settings.notify_refused_networks)
    return Notifying(database, operators, sender, node(settings.place))

"""Who publishes to a form server of the configuration: the adapter that may change projects, behind `Publisher`."""

from __future__ import annotations

from connector.config import Config
from connector.publishing import Publisher
from connector.servers.central_publishing import CentralForms
from connector.servers.kobo import Kobo
from connector.servers.kobo_publishing import KoboForms


def publisher_of(
    config: Config, name: str, token: str | None = None, project: str | None = None, pack: str | None = None
) -> Publisher:
    """The publisher of server *name*.

    Args:
        token: of an account that may edit projects; without it the connector's own, which only reads.
        project: Central: the project of a form that stands nowhere yet.
        pack: the country pack; without it that of the configuration.
    """
    server, pack = config.servers[name], pack or config.pack
    if server.type == "central":
        central = CentralForms(name, server, token, project)
        return Publisher(central, server, public_url=config.public_url, pack=pack)
    host = KoboForms(name, server, token or str(server.secret("token")))
    reader = Kobo(name, server).own_account() if token else host.account()
    return Publisher(host, server, public_url=config.public_url, reader=reader, pack=pack)

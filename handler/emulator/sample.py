"""A believable tenant for the emulator: a small company that watches its servers."""

from dataclasses import dataclass

from handler.emulator.state import Cloud

PROJECT_ID = "5f1d0c8e7a9b4c3d8e2f6a1b0c9d8e7f"
ACCESS_KEY, SECRET_KEY = "DEMOACCESSKEY0000001", "demo-secret-key-of-the-emulator-only"

_SERVERS = (
    *(f"web-{n}" for n in range(1, 9)),
    *(f"api-{n}" for n in range(1, 7)),
    *(f"pay-{n}" for n in range(1, 5)),
    *(f"db-{n}" for n in range(1, 5)),
    *("vpn-gw", "jump-host", "mail-1", "mail-2", "build-1", "build-2"),
    *("ids-sensor-a", "ids-sensor-b"),
)

_SESSIONS = (
    ("ids-web-tier", "ids-sensor-a", ("web-1", "web-2", "web-3", "web-4", "web-5", "web-6", "web-7", "web-8")),
    ("ids-api-tier", "ids-sensor-a", ("api-1", "api-2", "api-3", "api-4", "api-5", "api-6")),
    ("pci-payments", "ids-sensor-b", ("pay-1", "pay-2", "pay-3", "pay-4", "api-3")),
    ("ids-databases", "ids-sensor-b", ("db-1", "db-2", "db-3", "db-4")),
    ("edge-access", "ids-sensor-b", ("vpn-gw", "jump-host")),
    ("mail-dlp", "ids-sensor-b", ("mail-1", "mail-2")),
    ("forensics-case-17", "ids-sensor-a", ("api-3", "db-2", "web-5")),
    ("build-chain", "ids-sensor-a", ("build-1", "build-2")),
)


@dataclass(frozen=True, slots=True)
class Tenant:
    """The seeded cloud, and what is what in it."""

    cloud: Cloud
    servers: dict[str, str]
    """Server ids by name; each owns one interface."""
    interfaces: dict[str, str]
    """Interface ids by the name of their server."""
    sessions: dict[str, str]
    """Session ids by name."""

    def names(self, interface_ids: tuple[str, ...]) -> list[str]:
        """Return the names of the servers to which the interfaces belong."""
        known = {id_: name for name, id_ in self.interfaces.items()}
        return [known.get(id_, id_) for id_ in interface_ids]


def seed(seed: int = 7) -> Tenant:
    """Return a tenant with 30 servers and 8 sessions; `api-3` is mirrored by three of them."""
    cloud = Cloud(seed)
    servers = {name: cloud.add_server(PROJECT_ID, name=name) for name in _SERVERS}
    interfaces = {name: cloud.ports_of(server_id)[0] for name, server_id in servers.items()}
    sessions = {
        name: cloud.add_session(
            PROJECT_ID, name=name, target_id=interfaces[sensor], sources=[interfaces[server] for server in servers]
        )
        for name, sensor, servers in _SESSIONS
    }
    return Tenant(cloud, servers, interfaces, sessions)

"""Why PostgreSQL refuses, in words that say what to do; by its numbers alone, never by its own words."""

from __future__ import annotations

GOES_ON = "the same command goes on"
LOST = (
    "the connection was lost. What was being written is there whole or not at all; the same command finds "
    "out, and goes on"
)
BY_STATE = {
    "57014": f"a statement was cancelled, by statement_timeout or by someone. {GOES_ON.capitalize()}",
    "55P03": f"another run is writing it. Wait for that run; {GOES_ON}",
    "40001": f"another run was writing it. {GOES_ON.capitalize()}",
    "40P01": f"another run was writing it. {GOES_ON.capitalize()}",
    "42501": (
        "its user may not do this. Its owner makes them a member of the role that may, SCHEMA_writer to fit, "
        "SCHEMA_steward to set limits or SCHEMA_reader to read (`privsynth ledger roles` prints what makes "
        f"the roles); then {GOES_ON}"
    ),
    "25006": f"this server takes nothing, as a standby does. Name the one that does; {GOES_ON}",
    "23505": "an entry of that name is there already",
    "42P01": "its tables are gone, or not what they were. Put back the newest backup",
    "42703": "its tables are gone, or not what they were. Put back the newest backup",
    "3F000": "its tables are gone, or not what they were. Put back the newest backup",
}
BY_CLASS = {
    "08": LOST,
    "25": LOST,  # a transaction that stood still for too long
    "53": f"the server has no room, memory or connections left. See to it; {GOES_ON}",
    "57": LOST,
    "58": f"the server's disk fails. See to it; {GOES_ON}",
    "XX": "it is damaged. Put back the newest backup",
}
AT_CONNECTING = {  # by what the server says before anybody has logged in
    "OK": (
        "the server runs, and refuses this database, user or password, or has no connection left. Look at "
        f"them (a password may stand in PGPASSWORD or in the file .pgpass); {GOES_ON}"
    ),
    "REJECT": f"the server is starting or stopping. Wait; {GOES_ON}",
    "NO_RESPONSE": f"no server answers there. Start it, or look at host and port; {GOES_ON}",
}
UNREADABLE = (
    "its address cannot be read. Expected postgresql://USER@HOST/DATABASE, or #SCHEMA behind it, with each "
    "sign of a password that is no letter or digit as %40 and the like"
)


def reason(error: Exception) -> str:
    """Return why PostgreSQL refuses, and what to do: "the connection was lost. ..."."""
    state = getattr(error, "sqlstate", None)
    if state is None:
        return LOST
    return BY_STATE.get(state) or BY_CLASS.get(state[:2]) or f"PostgreSQL refuses it with code {state}"

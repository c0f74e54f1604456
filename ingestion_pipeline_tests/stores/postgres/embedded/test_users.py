"""Several processes: who starts the server, who stops it, who counts."""

import signal
from collections.abc import Callable
from pathlib import Path

from ingestion_pipeline.domain.errors import ProtectedError
from ingestion_pipeline.stores.postgres.embedded import EmbeddedServer
from ingestion_pipeline_tests.stores.postgres.embedded.helpers import (
    User,
    ask,
    postmaster_pid,
    refused,
)

FORKING = """
print("here", flush=True)
server.acquire()
child = os.fork()
if child == 0:
    server.release()
    sys.exit()  # runs what is registered for the end of a process
assert os.waitpid(child, 0)[1] == 0
assert (server.status().running, server.status().users) == (True, 1)
child = os.fork()
if child == 0:
    server.acquire()
    assert server.status().users == 2
    server.release()
    sys.exit()
assert os.waitpid(child, 0)[1] == 0
assert (server.status().running, server.status().users) == (True, 1)
if os.fork() == 0:
    sys.stdin.read()  # outlives its parent
    os._exit(0)
print("held", flush=True)
os.kill(os.getpid(), 9)
"""


def test_processes_starting_at_once_share_one_server_until_the_last_leaves(
    server: EmbeddedServer, another: Callable[..., User]
) -> None:
    users = [another() for _ in range(3)]
    for user in users:
        user.say("acquire")
    answers = {user.hear() for user in users}
    assert len(answers) == 1
    assert ask(answers.pop(), "SELECT 1") == 1
    pid = postmaster_pid(server)
    assert server.status().users == 3
    users[0].leave()
    assert users[1].ask("release") == "done"
    assert postmaster_pid(server) == pid
    assert server.status().users == 1
    users[2].leave()
    assert not server.status().running


def test_a_killed_user_no_longer_counts(server: EmbeddedServer, another: Callable[..., User]) -> None:
    user = another()
    user.ask("acquire")
    pid = postmaster_pid(server)
    user.kill()
    assert (server.status().running, server.status().users) == (True, 0)
    with server:
        assert postmaster_pid(server) == pid
    assert not server.status().running


def test_a_kept_server_outlives_its_users_until_stop(
    server: EmbeddedServer, another: Callable[..., User]
) -> None:
    user = another()
    assert user.ask("start_and_keep") == "done"
    user.leave()
    with server:
        pass
    status = server.status()
    assert (status.running, status.kept, status.users) == (True, True, 0)
    server.stop()
    status = server.status()
    assert (status.running, status.kept) == (False, False)


def test_stop_is_refused_while_another_process_uses_the_server(
    server: EmbeddedServer, another: Callable[..., User]
) -> None:
    user = another()
    user.ask("acquire")
    for end in (server.stop, server.destroy):
        with refused(ProtectedError, "server_in_use"):
            end()
    with server:
        with refused(ProtectedError, "server_in_use"):
            server.stop()
        assert server.status().users == 2
        assert user.ask("stop") == "server_in_use"
    server.stop(force=True)
    assert not server.status().running
    assert user.ask("acquire").startswith("postgresql://")
    assert server.status().running
    user.leave()
    assert not server.status().running


def test_a_process_stops_a_server_only_it_holds(state: Path, server: EmbeddedServer) -> None:
    server.acquire()
    with EmbeddedServer(state), refused(ProtectedError, "server_in_use"):
        server.stop()
    server.stop()
    assert (server.status().running, server.status().users) == (False, 0)
    server.release()


def test_a_forked_child_neither_holds_nor_stops_its_parents_server(
    server: EmbeddedServer, another: Callable[..., User]
) -> None:
    parent = another(code=FORKING)
    assert parent.hear() == "held"
    assert parent.process.wait(30) == -signal.SIGKILL
    assert (server.status().running, server.status().users) == (True, 0)
    with server:
        pass
    assert not server.status().running

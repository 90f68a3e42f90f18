"""Raw dictionaries as CybORG writes them, read by hand-worked examples; no CybORG needed."""

import copy
from enum import Enum
from ipaddress import IPv4Address
from types import SimpleNamespace

import numpy as np
import pytest

from cage4 import spec
from cage4.cyborg.rich import AddressBook, RichRecorder, read_reset, read_step
from cage4.observations import rich
from cage4.observations.rich import Signature, Success

SERVER, USER, ROUTER = "server_host_0", "user_host_3", "router"
RZA = "restricted_zone_a_subnet"
OCTETS = {subnet: 10 * (1 + int(subnet)) for subnet in spec.Subnet}
LABELS = [
    "Monitor",
    f"[Invalid] Analyse {RZA}_server_host_5",
    *(
        f"BlockTrafficZone {RZA} (10.0.10.0/24) <- {subnet.cyborg_name} (10.0.{OCTETS[subnet]}.0/24)"
        for subnet in spec.Subnet
        if subnet is not spec.Subnet.RESTRICTED_ZONE_A
    ),
]


class TernaryEnum(Enum):
    """The names of CybORG's own, in its order."""

    TRUE = 1
    UNKNOWN = 2
    FALSE = 3
    IN_PROGRESS = 4


def action(name, **attributes):
    made = type(name, (), {})()
    made.__dict__.update(attributes)
    return made


def raw(success="TRUE", chosen=None, **hosts):
    made = {"success": TernaryEnum[success], "message": [np.zeros(8, bool)] * 4}
    if chosen is not None:
        made["action"] = chosen
    return made | {f"{RZA}_{name}": content for name, content in hosts.items()}


def connection(local=None, remote=None, local_port=None, remote_port=None):
    given = {"local_port": local_port, "remote_port": remote_port}
    given |= {"local_address": local and IPv4Address(local), "remote_address": remote and IPv4Address(remote)}
    return {"Connections": [{key: value for key, value in given.items() if value is not None}]}


AT_RESET = read_reset(0, raw("UNKNOWN", **{name: {"Sessions": [{"session_id": 1}]} for name in (SERVER, USER, ROUTER)}))


def step(observation):
    return rich.decode(0, read_step(0, observation, AT_RESET, AddressBook(LABELS)))


def test_hosts_with_a_session_at_reset_are_present_for_the_whole_episode():
    first, later = rich.decode(0, AT_RESET), step(raw("UNKNOWN", action("Sleep")))
    for fields in (first, later):
        assert np.argwhere(fields.present).tolist() == [[0, 0], [0, 9], [0, 16]]
    assert np.count_nonzero(AT_RESET) == 3


@pytest.mark.parametrize(
    ("success", "chosen", "verb"),
    [
        ("UNKNOWN", action("Sleep"), 1 + spec.Verb.SLEEP),
        ("TRUE", action("Monitor"), 1 + spec.Verb.MONITOR),
        ("IN_PROGRESS", None, rich.NO_VERB),
        ("FALSE", action("InvalidAction", action=action("Restore", hostname="nowhere"), error="?"), rich.INVALID_VERB),
    ],
)
def test_the_agents_own_action(success, chosen, verb):
    fields = step(raw(success, chosen))
    assert fields.success == Success[success]
    assert fields.verb == verb
    assert fields.target_host == fields.to_subnet == fields.from_subnet == 0


def test_a_traffic_command_names_its_subnets_in_sorted_order():
    chosen = action("AllowTrafficZone", to_subnet=RZA, from_subnet="internet_subnet")
    fields = step(raw("FALSE", chosen))
    assert (fields.to_subnet, fields.from_subnet) == (1 + 7, 1 + 2)
    assert fields.success == Success.FALSE


def test_analyse_tells_files_and_their_density_even_if_there_are_none():
    files = [{"File Name": "cmd.sh", "Path": "/tmp/", "Density": 0.9}, {"File Name": "other.sh", "Density": 0.2}]
    fields = step(raw("TRUE", action("Analyse", hostname=f"{RZA}_{USER}"), **{USER: {"Files": files}}))
    assert np.argwhere(fields.analysed).tolist() == [[0, 9]]
    assert (fields.file_cmd[0, 9], fields.file_escalate[0, 9], fields.density[0, 9]) == (1, 0, 90)
    assert fields.target_host == 1 + 9
    clean = step(raw("TRUE", action("Analyse", hostname=f"{RZA}_{ROUTER}")))
    assert clean.analysed[0, 16] == 1
    assert clean.density.sum() == 0
    failed = step(raw("FALSE", action("Analyse", hostname=f"{RZA}_{SERVER}")))
    assert failed.analysed.sum() == 0


def test_events_of_all_kinds_on_one_host():
    here, there = "10.0.10.254", "10.0.50.7"
    processes = [
        {"PID": 5001, "PPID": 1, "service_name": "vsftpd", "username": "ubuntu", "Properties": ["rfi"]},
        connection(here, there, None, 22),
        *[connection(here, there, 22, 50001)] * 10,
        connection(here, "10.0.80.9", None, 8800),
        connection("10.0.70.3", here, None, 51234),
        {"PID": 5009},
        {"PID": 5012},
        connection(here, None, 52000),
    ]
    fields = step(raw("TRUE", action("DeployDecoy", hostname=f"{RZA}_{SERVER}"), **{SERVER: {"Processes": processes}}))
    counts = {Signature(i).name: int(n) for i, n in enumerate(fields.connections[0, 0]) if n}
    assert counts == {"PORT_22": 10, "ROUTE": 1, "BLOCKED": 1, "ALARM": 1}
    # Sorted order: CON 1, OFF 3, RZA 7. The alarm's remote address is the host itself.
    assert fields.remote_subnets[0, 0].tolist() == [0, 11, 0, 1, 0, 0, 0, 1, 0]
    assert fields.records[0, 0].tolist() == [[8, 254, 0, 2, 7, 22]] + [[8, 254, 22, 2, 7, 50001]] * 3
    assert fields.process_events[0, 0] == 2
    assert fields.process_ids[0, 0].tolist() == [5009, 5012, 0, 0]
    assert fields.process_alarms[0, 0] == 1
    assert (fields.decoy_kind[0, 0], fields.decoy_id[0, 0]) == (4, 5001)
    assert fields.connections[0, 1:].sum() == 0


def test_more_process_ids_than_are_kept_are_counted():
    fields = step(raw("UNKNOWN", action("Sleep"), **{USER: {"Processes": [{"PID": pid} for pid in range(1, 8)]}}))
    assert fields.process_events[0, 9] == 7
    assert fields.process_ids[0, 9].tolist() == [1, 2, 3, 4]


def test_reading_changes_neither_the_dictionary_nor_the_reset():
    observation = raw("TRUE", action("Sleep"), **{USER: {"Processes": [connection("10.0.10.7", None, 50000)]}})
    before, reset = copy.deepcopy({k: v for k, v in observation.items() if k != "action"}), AT_RESET.copy()
    once, again = step(observation), step(observation)
    assert str(before) == str({k: v for k, v in observation.items() if k != "action"})
    np.testing.assert_array_equal(AT_RESET, reset)
    np.testing.assert_array_equal(rich.encode(0, once), rich.encode(0, again))


def test_what_cannot_be_is_not_passed_over():
    with pytest.raises(ValueError, match="blue_agent_0 has no host"):
        step(raw("UNKNOWN", action("Sleep")) | {"office_network_subnet_user_host_0": {"Processes": [{"PID": 3}]}})
    with pytest.raises(ValueError, match="lies in none of the subnets"):
        step(
            raw(
                "UNKNOWN", action("Sleep"), **{USER: {"Processes": [connection("10.0.10.7", "192.168.0.1", 22, 50000)]}}
            )
        )
    with pytest.raises(ValueError, match="they name 1"):
        AddressBook([f"BlockTrafficZone {RZA} (10.0.10.0/24)"])


def test_the_recorder_reads_what_the_wrapper_reads_and_passes_it_on():
    given = []
    wrapper = SimpleNamespace(
        observation_change=lambda agent, observation: given.append((agent, observation)) or "flat",
        action_labels=lambda agent: LABELS,
    )
    recorder = RichRecorder(wrapper)
    start, later = {"success": TernaryEnum.UNKNOWN}, {"success": TernaryEnum.TRUE, "action": action("Monitor")}
    for _ in range(2):
        recorder.begin_episode()
        assert {wrapper.observation_change(agent, start) for agent in spec.BLUE_AGENTS} == {"flat"}
        assert all(not vector.any() for vector in recorder.vectors())
        wrapper.observation_change("blue_agent_2", later)
        assert [int(vector[1]) for vector in recorder.vectors()] == [0, 0, 2, 0, 0]
    assert given[-1] == ("blue_agent_2", later)

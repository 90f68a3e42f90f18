"""The rich observation's layout: every index named once, and nothing lost in translation."""

import numpy as np
import pytest

from cage4 import spec
from cage4.observations import rich
from cage4.observations.rich import Signature


def test_sizes_follow_from_the_layouts():
    assert rich.HEADER.size == 5
    assert rich.HOST.size == 57
    assert rich.SIZES == (974, 974, 974, 974, 2912)
    assert [rich.layout(agent).size for agent in range(5)] == list(rich.SIZES)


def test_every_index_has_a_name_and_a_range():
    layout = rich.layout(4)
    assert [field.name for field in layout][:6] == [*(f.name for f in rich.HEADER), "ADM.server_0.present"]
    assert layout["PAZ.router.decoy_id"].slice.stop == layout.size
    assert layout["OFF.user_3.density"].start == rich.host_start(17 + 6 + 3) + rich.HOST["density"].start
    assert all(field.high > 0 and field.meaning for field in layout)


@pytest.mark.parametrize("agent", range(5))
def test_decode_and_encode_undo_each_other(agent):
    vectors = np.arange(2 * 3 * rich.size(agent), dtype=np.int32).reshape(2, 3, -1)
    fields = rich.decode(agent, vectors)
    assert fields.records.shape == (2, 3, len(spec.BLUE_SUBNETS[agent]), 17, 4, 6)
    assert fields.success.shape == (2, 3)
    joined = rich.encode(agent, fields)
    assert joined.dtype == np.int32
    np.testing.assert_array_equal(joined, vectors)


def test_fields_lie_where_the_layout_says():
    vector = np.arange(rich.size(4))
    fields = rich.decode(4, vector)
    layout = rich.layout(4)
    assert fields.density[1, 9] == layout["OFF.user_3.density"].start
    np.testing.assert_array_equal(fields.records[2, 16].ravel(), vector[layout["PAZ.router.records"].slice])


@pytest.mark.parametrize(
    ("ports", "expected"),
    [
        ((22, 50000), Signature.PORT_22),
        ((1, 49152), Signature.PORT_1),
        ((3390, 59999), Signature.PORT_3390),
        ((51000, 50000), Signature.DECOY),
        ((0, 22), Signature.ROUTE),
        ((0, 8800), Signature.BLOCKED),
        ((0, 55555), Signature.ALARM),
        ((0, 0), Signature.OTHER),
        ((22, 8800), Signature.OTHER),
        ((22, 60000), Signature.OTHER),
        ((21, 50000), Signature.OTHER),
    ],
)
def test_signatures(ports, expected):
    assert rich.signature(*ports) is expected


def test_listening_ports_come_first_among_the_signatures():
    assert [Signature(i).name for i in range(6)] == [f"PORT_{port}" for port in rich.LISTENING_PORTS]


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="has 974 entries"):
        rich.decode(0, np.zeros(2912))
    with pytest.raises(ValueError, match="blue agent 5 does not exist"):
        rich.layout(5)
    with pytest.raises(ValueError, match="slots are 0 to 16"):
        rich.slot_label(17)
    with pytest.raises(ValueError, match="have the axes"):
        rich.encode(0, rich.decode(4, np.zeros(2912)))

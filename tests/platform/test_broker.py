"""The embedded broker: whole messages, each taken once."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
from kombu import Connection

from esgportal import broker

MESSAGES = 300
READERS = 4


@pytest.fixture
def connect(tmp_path: Path) -> Any:
    broker.register()
    folders = {name: tmp_path / name for name in ("messages", "processed", "control")}
    for folder in folders.values():
        folder.mkdir()
    options = {
        "data_folder_in": str(folders["messages"]),
        "data_folder_out": str(folders["messages"]),
        "processed_folder": str(folders["processed"]),
        "control_folder": str(folders["control"]),
        "polling_interval": 0.01,
    }
    return lambda: Connection("files://localhost//", transport_options=options)


def test_messages_come_in_the_order_they_were_sent(connect: Any) -> None:
    with connect() as connection, connection.SimpleQueue("jobs") as queue:
        for number in range(20):
            queue.put(number)
        taken = []
        for _ in range(20):
            message = queue.get(timeout=5)
            taken.append(message.payload)
            message.ack()
    assert taken == list(range(20))


def test_a_queue_does_not_take_the_messages_of_one_whose_name_ends_alike(connect: Any) -> None:
    with connect() as connection, connection.SimpleQueue("other.jobs") as other, connection.SimpleQueue("jobs") as jobs:
        other.put("theirs")
        with pytest.raises(jobs.Empty):
            jobs.get(timeout=0.2)
        assert other.get(timeout=5).payload == "theirs"


def test_each_message_is_taken_once_and_whole_by_readers_working_while_it_is_written(
    connect: Any, tmp_path: Path
) -> None:
    taken: list[int] = []
    failures: list[Exception] = []
    done = threading.Event()

    def read() -> None:
        channel = connect().channel()
        while not done.is_set():
            try:
                taken.append(channel._get("jobs")["number"])
            except broker.Empty:
                continue
            except Exception as error:
                failures.append(error)

    readers = [threading.Thread(target=read) for _ in range(READERS)]
    for reader in readers:
        reader.start()
    channel = connect().channel()
    for number in range(MESSAGES):
        channel._put("jobs", {"number": number, "filling": "x" * 20_000})
    deadline = threading.Event()
    for _ in range(200):
        if len(taken) >= MESSAGES:
            break
        deadline.wait(0.05)
    done.set()
    for reader in readers:
        reader.join()
    assert failures == []
    assert sorted(taken) == list(range(MESSAGES))
    assert list((tmp_path / "processed").iterdir()) == []

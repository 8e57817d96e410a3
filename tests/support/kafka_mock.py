# SPDX-License-Identifier: Apache-2.0
"""Brokers of Kafka in this process: librdkafka's mock cluster, which other processes reach by TCP, and a client of any
brokers, by ctypes. The mock has consumer groups and keeps what it is given; it compacts nothing and knows no times.
Needs librdkafka.so.1, and else the standard library only."""

import ctypes
import socket
import threading
import time

from tailgate_process import expect

PRODUCER, CONSUMER = 0, 1
COPY = 2                 # RD_KAFKA_MSG_F_COPY
BEGINNING, INVALID = -2, -1001
PARTITION_EOF = -191
BUSY = (14, 15, 16, -185, -195)  # the coordinator of the group is being looked for, or does not answer
TEXT = 512


class Partition(ctypes.Structure):  # rd_kafka_topic_partition_t
    _fields_ = [("topic", ctypes.c_char_p), ("partition", ctypes.c_int32), ("offset", ctypes.c_int64),
                ("metadata", ctypes.c_void_p), ("metadata_size", ctypes.c_size_t), ("opaque", ctypes.c_void_p),
                ("err", ctypes.c_int), ("private", ctypes.c_void_p)]


class List(ctypes.Structure):  # rd_kafka_topic_partition_list_t
    _fields_ = [("count", ctypes.c_int), ("size", ctypes.c_int), ("elements", ctypes.POINTER(Partition))]


class Message(ctypes.Structure):  # rd_kafka_message_t
    _fields_ = [("err", ctypes.c_int), ("topic", ctypes.c_void_p), ("partition", ctypes.c_int32),
                ("payload", ctypes.c_void_p), ("size", ctypes.c_size_t), ("key", ctypes.c_void_p),
                ("key_size", ctypes.c_size_t), ("offset", ctypes.c_int64), ("private", ctypes.c_void_p)]


def load():
    lib = ctypes.CDLL("librdkafka.so.1")
    pointer, text, number = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int
    for name, result, arguments in (
            ("conf_new", pointer, []),
            ("conf_set", number, [pointer, text, text, text, ctypes.c_size_t]),
            ("new", pointer, [number, pointer, text, ctypes.c_size_t]),
            ("destroy", None, [pointer]),
            ("poll", number, [pointer, number]),
            ("flush", number, [pointer, number]),
            ("err2str", text, [number]),
            ("last_error", number, []),
            ("topic_new", pointer, [pointer, text, pointer]),
            ("topic_destroy", None, [pointer]),
            ("produce", number, [pointer, ctypes.c_int32, number, text, ctypes.c_size_t, text, ctypes.c_size_t, pointer]),
            ("topic_partition_list_new", ctypes.POINTER(List), [number]),
            ("topic_partition_list_destroy", None, [ctypes.POINTER(List)]),
            ("topic_partition_list_add", ctypes.POINTER(Partition), [ctypes.POINTER(List), text, ctypes.c_int32]),
            ("assign", number, [pointer, ctypes.POINTER(List)]),
            ("committed", number, [pointer, ctypes.POINTER(List), number]),
            ("consumer_poll", ctypes.POINTER(Message), [pointer, number]),
            ("message_destroy", None, [ctypes.POINTER(Message)]),
            ("mock_cluster_new", pointer, [pointer, number]),
            ("mock_cluster_destroy", None, [pointer]),
            ("mock_cluster_bootstraps", text, [pointer]),
            ("mock_topic_create", number, [pointer, text, number, number]),
            ("mock_push_request_errors_array", None, [pointer, ctypes.c_int16, ctypes.c_size_t, pointer]),
            ("mock_broker_set_down", number, [pointer, ctypes.c_int32]),
            ("mock_broker_set_up", number, [pointer, ctypes.c_int32])):
        function = getattr(lib, f"rd_kafka_{name}")
        function.restype, function.argtypes = result, arguments
    return lib


class Client:
    """Writes to and reads from `brokers`. Threads: any, one call at a time."""

    def __init__(self, brokers, **settings):
        self.lib, self.brokers, self.lock = load(), brokers, threading.Lock()
        self.producer = self.make(PRODUCER, **{"bootstrap.servers": brokers, "linger.ms": 1, **settings})
        self.topics, self.readers = {}, {}

    def make(self, kind, **settings):
        conf, why = self.lib.rd_kafka_conf_new(), ctypes.create_string_buffer(TEXT)
        for name, value in {"log_level": 2, **settings}.items():
            done = self.lib.rd_kafka_conf_set(conf, name.encode(), str(value).encode(), why, TEXT)
            expect(done == 0, f"{name}: {why.value.decode()}")
        made = self.lib.rd_kafka_new(kind, conf, why, TEXT)
        expect(made, f"no client: {why.value.decode()}")
        return made

    def close(self):
        for topic in self.topics.values():
            self.lib.rd_kafka_topic_destroy(topic)
        for client in [self.producer, *self.readers.values()]:
            self.lib.rd_kafka_destroy(client)
        self.topics, self.readers = {}, {}

    def write(self, topic, partition, key, value):
        with self.lock:
            if topic not in self.topics:
                self.topics[topic] = self.lib.rd_kafka_topic_new(self.producer, topic.encode(), None)
            failed = self.lib.rd_kafka_produce(self.topics[topic], partition, COPY, value, len(value), key, len(key), None)
            expect(failed == 0, "a record is not taken")
            self.lib.rd_kafka_poll(self.producer, 0)

    def flush(self):
        with self.lock:
            expect(self.lib.rd_kafka_flush(self.producer, 30_000) == 0, "records are not written")

    def list_of(self, topic, partitions, offset):
        made = self.lib.rd_kafka_topic_partition_list_new(len(partitions))
        for partition in partitions:
            self.lib.rd_kafka_topic_partition_list_add(made, topic.encode(), partition).contents.offset = offset
        return made

    def reader(self, group):
        if group not in self.readers:
            self.readers[group] = self.make(CONSUMER, **{
                "bootstrap.servers": self.brokers, "group.id": group, "enable.auto.commit": "false",
                "enable.partition.eof": "true", "auto.offset.reset": "earliest"})
        return self.readers[group]

    def committed(self, group, topic, partitions):
        """{partition: offset} of those that have one."""
        with self.lock:
            end = time.monotonic() + 30
            while True:
                asked = self.list_of(topic, partitions, INVALID)
                code = self.lib.rd_kafka_committed(self.reader(group), asked, 10_000)
                if code not in BUSY or time.monotonic() > end:
                    break
                self.lib.rd_kafka_topic_partition_list_destroy(asked)
                time.sleep(0.2)
            out = {asked.contents.elements[i].partition: asked.contents.elements[i].offset for i in range(asked.contents.count)}
            self.lib.rd_kafka_topic_partition_list_destroy(asked)
        expect(code == 0, f"committed offsets: {self.lib.rd_kafka_err2str(code).decode()}")
        return {partition: offset for partition, offset in out.items() if offset >= 0}

    def read(self, topic, partitions):
        """[(partition, offset, key, value)] of all there is."""
        out, left = [], set(partitions)
        with self.lock:
            client = self.reader(f"reader-of-{topic}")
            asked = self.list_of(topic, partitions, BEGINNING)
            self.lib.rd_kafka_assign(client, asked)
            self.lib.rd_kafka_topic_partition_list_destroy(asked)
            while left:
                message = self.lib.rd_kafka_consumer_poll(client, 10_000)
                expect(message, f"{topic} has no end")
                m = message.contents
                if m.err == PARTITION_EOF:
                    left.discard(m.partition)
                else:
                    expect(m.err == 0, self.lib.rd_kafka_err2str(m.err).decode())
                    out.append((m.partition, m.offset, ctypes.string_at(m.key, m.key_size), ctypes.string_at(m.payload, m.size)))
                self.lib.rd_kafka_message_destroy(message)
            self.lib.rd_kafka_assign(client, None)
        return out


class Mock:
    """A cluster of one broker, with topics {name: partitions}; and its Client. A context manager."""

    def __init__(self, topics):
        self.lib = load()
        conf, why = self.lib.rd_kafka_conf_new(), ctypes.create_string_buffer(TEXT)
        self.lib.rd_kafka_conf_set(conf, b"log_level", b"2", why, TEXT)
        self.owner = self.lib.rd_kafka_new(PRODUCER, conf, why, TEXT)
        self.cluster = self.lib.rd_kafka_mock_cluster_new(self.owner, 1)
        self.brokers = self.lib.rd_kafka_mock_cluster_bootstraps(self.cluster).decode()
        for topic, partitions in topics.items():
            expect(self.lib.rd_kafka_mock_topic_create(self.cluster, topic.encode(), partitions, 1) == 0, f"no topic {topic}")
        self.client = Client(self.brokers)
        self.kept_port = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.kept_port is not None:
            self.kept_port.close()
        self.client.close()
        self.lib.rd_kafka_mock_cluster_destroy(self.cluster)
        self.lib.rd_kafka_destroy(self.owner)

    def down(self):
        """A socket that does not listen keeps the port until `up`, but for a moment: the kernel would give it to any
        connection of this machine, and a mock whose broker cannot bind again ends the process."""
        self.lib.rd_kafka_mock_broker_set_down(self.cluster, 1)
        self.kept_port = socket.socket()
        self.kept_port.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        host, port = self.brokers.split(":")
        self.kept_port.bind((host, int(port)))

    def fence(self):
        """The next heartbeat of a member hears that another one has its group.instance.id."""
        fenced_instance_id, heartbeat = ctypes.c_int(82), 12
        self.lib.rd_kafka_mock_push_request_errors_array(self.cluster, heartbeat, 1, ctypes.byref(fenced_instance_id))

    def up(self):
        self.lib.rd_kafka_mock_broker_set_up(self.cluster, 1)
        self.kept_port.close()
        self.kept_port = None

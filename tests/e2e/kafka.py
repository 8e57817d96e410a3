# SPDX-License-Identifier: Apache-2.0
"""The kafka exporter: config/to-kafka.yaml, a real broker, and a real Jaeger that reads the topic."""

import importlib.util
import os
import urllib.request

import otlp_bytes as otlp
from backends import Kafka, free_ports
from certificates import Authority
from harness import QUICK, expect_kept, settled, shipped
from jaeger import Jaeger
from otlp_sink import Sink
from sdk import POLICIES, clients
from tailgate_process import Daemon, basic_config, expect, until
from tools import say, text_of


def post(daemon, body):
    request = urllib.request.Request(f"http://127.0.0.1:{daemon.http}/v1/traces", body, {"Content-Type": "application/x-protobuf"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        expect(answer.status == 200, f"the daemon says {answer.status}")


def failed_trace(spans=1, blob=0, service="big"):
    """A trace kept for its error, of `spans` spans with `blob` bytes each that hardly compress; its id."""
    trace_id = os.urandom(16)
    made = [otlp.span(trace_id, name=f"n{i}", error=True, attributes=[("blob", os.urandom(blob // 2).hex())] if blob else ())
            for i in range(spans)]
    return trace_id.hex(), otlp.request(made, service)


def test_kafka(tools, binary, directory):
    """Whole traces under their ids, through Jaeger's own kafka receiver; large ones in parts; over a restart of the broker."""
    with Kafka(tools, directory) as kafka:
        receiver = {"kafka": {"brokers": [kafka.broker], "initial_offset": "earliest",
                              "traces": {"topic": "otlp_spans", "encoding": "otlp_proto"}}}
        retry = ["exporters.kafka.retry_on_failure.initial_interval=200ms", "exporters.kafka.retry_on_failure.max_interval=1s"]
        sets = [f"exporters.kafka.brokers.0={kafka.broker}", "exporters.kafka.timeout=3s", *retry]
        with shipped("to-kafka.yaml", binary, directory, [*QUICK, *sets]) as daemon:
            client = clients(tools, daemon)[0]
            sent = client.send()
            settled(daemon, "kafka")
            with Jaeger(tools.jaeger(), directory, receivers=receiver) as jaeger:
                for trace_id, spans in sent["keep"].items():
                    expect_kept(jaeger, trace_id, spans, "by Kafka")
                say(f"  {len(sent['keep'])} traces in Jaeger as they were sent")

                # 30 spans of 100 KB are 3 MB: over one message's 1,000,000 bytes.
                trace_id, body = failed_trace(30, 100_000)
                post(daemon, body)
                until(lambda: len(jaeger.trace_v3(trace_id) or []) == 30, "a trace of 3 MB is in Jaeger whole", 60, 0.1)
                metrics = settled(daemon, "kafka")
                expect(metrics.sum("tailgate_export_failed_spans_total", exporter="kafka") == 0, "spans failed")

                # The broker is away: the queue holds, and the rest goes when it is back.
                kafka.stop()
                held_id, body = failed_trace()
                post(daemon, body)
                until(lambda: daemon.metrics().sum("tailgate_export_failures_total", exporter="kafka") > 0, "an attempt failed", 60)
                expect(daemon.metrics().sum("tailgate_export_queue_spans", exporter="kafka") == 1, "the span does not wait")
                kafka.start()
                until(lambda: jaeger.trace_v3(held_id), "what waited is in Jaeger", 90, 0.2)
                settled(daemon, "kafka")
                say("  3 MB in parts, and what waited for the broker")
            expect(daemon.stop() == 0, "the daemon did not end with 0")

        count, keys = 0, {}
        for partition, key, value in kafka.messages("otlp_spans", 1000):
            count += 1
            expect(len(key) == 32 and key == key.lower(), f"a key is {key!r}")
            expect(bytes.fromhex(key) in value, f"the message of {key} holds another trace")
            keys.setdefault(key, set()).add(partition)
        expect(all(len(p) == 1 for p in keys.values()), "a trace is in several partitions")
        expect(keys.keys() >= {*sent["keep"], trace_id, held_id}, "a key is missing")
        say(f"  {count} messages, each key in one partition")


def test_kafka_auth(tools, binary, directory):
    """SASL: with the right password spans arrive; with a wrong one they wait, and the log says why but not the password."""
    sasl = free_ports(1)[0]
    plain, controller = free_ports(2)
    login = 'org.apache.kafka.common.security.plain.PlainLoginModule required user_tailgate="right-secret";'
    settings = {"listeners": f"PLAINTEXT://127.0.0.1:{plain},CONTROLLER://127.0.0.1:{controller},SASL://127.0.0.1:{sasl}",
                "controller.quorum.voters": f"1@127.0.0.1:{controller}",
                "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SASL:SASL_PLAINTEXT",
                "sasl.enabled.mechanisms": "PLAIN", "listener.name.sasl.plain.sasl.jaas.config": login}
    with Kafka(tools, directory, **settings):
        for password, arrives in (("right-secret", True), ("wrong-secret", False)):
            path = os.path.join(directory, "password")
            with open(path, "w") as out:
                out.write(password + "\n")
            auth = f"{{sasl: {{mechanism: PLAIN, username: tailgate, password_file: {path}}}}}"
            sets = [f"exporters.kafka.brokers.0=127.0.0.1:{sasl}", f"exporters.kafka.auth={auth}", "exporters.kafka.timeout=3s",
                    "shutdown_timeout=1s"]
            with shipped("to-kafka.yaml", binary, directory, [*QUICK, *sets]) as daemon:
                post(daemon, failed_trace()[1])
                name = "tailgate_export_spans_total" if arrives else "tailgate_export_failures_total"
                until(lambda: daemon.metrics().sum(name, exporter="kafka") == 1, f"{name} with {password}", 60)
                expect(daemon.stop() == 0, "the daemon did not end with 0")
                log = daemon.log()
            expect(password not in log, "the password is in the log")
            expect(arrives or "uthentication failed" in log, f"the log does not say why: {log[-1000:]}")
        # The same for the receiver, which reads what the right password wrote.
        for password, arrives in (("wrong-secret", False), ("right-secret", True)):
            with open(path, "w") as out:
                out.write(password + "\n")
            config = basic_config(POLICIES, {"debug": {}}, decision_wait="200ms")
            config["receivers"] = {"kafka": {"brokers": [f"127.0.0.1:{sasl}"], "auth": {"sasl": {"username": "tailgate", "password_file": path}}}}
            with Daemon(binary, directory, {**config, "shutdown_timeout": "1s"}) as daemon:
                if arrives:
                    until(lambda: daemon.metrics().sum("tailgate_kafka_records_total") == 1, "the record is read", 60)
                else:
                    until(lambda: "uthentication failed" in daemon.log(), "the log says why", 60)
                expect(daemon.stop() == 0, "the daemon did not end with 0")
                expect(password not in daemon.log(), "the password is in the log")
    say("  the right password is taken; a wrong one is told, and not shown; by the exporter and by the receiver")


def test_kafka_tls(tools, binary, directory):
    """SCRAM over TLS, and client certificates: what is wrong is said and waits on disk; put right, all of it arrives."""
    trusted, strange = Authority(tools, directory), Authority(tools, directory, "strange")
    certificate, key = trusted.issue("broker")
    keystore = os.path.join(directory, "keystore.pem")
    with open(keystore, "w") as out:
        out.write(text_of(key) + text_of(certificate))
    plain, controller, sasl, mutual = free_ports(4)
    with Kafka(tools, directory, ["SCRAM-SHA-512=[name=tailgate,password=right-secret]"], **{
            "listeners": f"PLAINTEXT://127.0.0.1:{plain},CONTROLLER://127.0.0.1:{controller},"
                         f"SASL://127.0.0.1:{sasl},MUTUAL://127.0.0.1:{mutual}",
            "controller.quorum.voters": f"1@127.0.0.1:{controller}",
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SASL:SASL_SSL,MUTUAL:SSL",
            "ssl.keystore.type": "PEM", "ssl.keystore.location": keystore,
            "ssl.truststore.type": "PEM", "ssl.truststore.location": trusted.ca,
            "listener.name.mutual.ssl.client.auth": "required",
            "sasl.enabled.mechanisms": "SCRAM-SHA-512",
            "listener.name.sasl.scram-sha-512.sasl.jaas.config": "org.apache.kafka.common.security.scram.ScramLoginModule required;"}) as kafka:
        kafka.broker = f"127.0.0.1:{plain}"  # where the topic is read
        trust = {"ca_file": trusted.ca}
        ours, theirs = (dict(zip(("cert_file", "key_file"), authority.issue(f"client-of-{authority.name}"))) for authority in (trusted, strange))
        login = lambda password: {"sasl": {"mechanism": "SCRAM-SHA-512", "username": "tailgate", "password": password}}  # noqa: E731
        sent = set()
        for what, port, tls, auth, said in (
                ("a wrong password", sasl, trust, login("wrong-secret"), "uthentication failed"),
                ("an unknown CA", sasl, {"ca_file": strange.ca}, login("right-secret"), "certificate verify failed"),
                ("no TLS", sasl, None, login("right-secret"), "SSL listener?"),
                ("the right password", sasl, trust, login("right-secret"), None),
                ("no certificate", mutual, trust, None, "certificate"),
                ("a certificate of a stranger", mutual, {**trust, **theirs}, None, "ertificate"),
                ("our certificate", mutual, {**trust, **ours}, None, None)):
            exporter = {"brokers": [f"127.0.0.1:{port}"], "timeout": "5s", "sending_queue": {"directory": os.path.join(directory, "queue")},
                        "retry_on_failure": {"initial_interval": "200ms", "max_interval": "1s"}}
            exporter.update({key: value for key, value in (("tls", tls), ("auth", auth)) if value is not None})
            config = basic_config(POLICIES, {"kafka": exporter}, decision_wait="200ms")
            with Daemon(binary, directory, {**config, "shutdown_timeout": "2s"}) as daemon:
                trace_id, body = failed_trace()
                sent.add(trace_id)
                post(daemon, body)
                if said is None:
                    until(lambda: daemon.metrics().sum("tailgate_export_spans_total", exporter="kafka") > 0, f"{what}: spans are taken", 60)
                    settled(daemon, "kafka")
                else:
                    until(lambda: daemon.metrics().sum("tailgate_export_failures_total", exporter="kafka") > 0, f"{what}: an attempt fails", 60)
                expect(daemon.stop() == 0, "the daemon did not end with 0")
                log = daemon.log()
            expect("-secret" not in log, f"{what}: the password is in the log")
            if said is not None:
                failed = [line for line in log.splitlines() if "export failed" in line]
                expect(failed and said in failed[0], f"{what}: the log does not say {said!r}: {log[-1500:]}")
                say(f"  {what}: {failed[0].partition('detail=')[2]}")
            else:
                keys = {key for _, key, _ in kafka.messages("otlp_spans", len(sent))}
                expect(keys == sent, f"{what}: the topic has {len(keys)} of {len(sent)} traces")
                say(f"  {what}: all {len(sent)} traces so far are in the topic")


def test_kafka_refuses(tools, binary, directory):
    """A message the broker finds too large is a dead letter, what was with it is not; a topic that is missing is waited for."""
    with Kafka(tools, directory, **{"message.max.bytes": 20000, "auto.create.topics.enable": "true"}) as kafka:
        sets = [f"exporters.kafka.brokers.0={kafka.broker}", "exporters.kafka.producer.compression=none",
                "exporters.kafka.sending_queue.batch.flush_timeout=2s"]
        with shipped("to-kafka.yaml", binary, directory, [*QUICK, *sets]) as daemon:
            (small, one), (large, two) = failed_trace(), failed_trace(1, 60_000)
            post(daemon, one)
            post(daemon, two)
            metrics = settled(daemon, "kafka")
            sent = metrics.sum("tailgate_export_spans_total", exporter="kafka")
            lost = metrics.sum("tailgate_export_failed_spans_total", exporter="kafka")
            expect((sent, lost) == (1, 1), f"{sent:.0f} spans sent, {lost:.0f} failed")
            letters = open(os.path.join(directory, "dead-letters.json")).read()
            expect(large in letters and small not in letters and "too large" in letters.lower(), f"dead letters: {letters[:300]}")
            expect(daemon.stop() == 0, "the daemon did not end with 0")
        keys = [key for _, key, _ in kafka.messages("otlp_spans", 10)]
        expect(keys == [small], f"the topic has {keys}")
    say("  a message over the broker's limit is a dead letter, the other arrived")


def component(name):
    """tests/component/daemon/NAME.py as a module."""
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "component", "daemon", f"{name}.py")
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_kafka_tier(tools, binary, directory):
    """config/kafka-front.yaml and two of config/kafka-tier.yaml: traces whose spans come one by one are decided whole, while
    a member is killed, and one goes."""
    with Kafka(tools, directory) as kafka:
        kafka.topic("otlp_spans", 6)
        kafka.topic("tailgate_verdicts", 6, "cleanup.policy=compact,delete", "retention.ms=3600000")
        sink = Sink()
        def tier(name):
            home = os.path.join(directory, name)
            os.makedirs(home, exist_ok=True)
            return shipped("kafka-tier.yaml", binary, home, [
                "sampling.decision_wait=6s", "sampling.decision_wait_after_root_received=4s", f"receivers.kafka.brokers.0={kafka.broker}",
                f"receivers.kafka.instance_id={name}", "receivers.kafka.session_timeout=6s",
                f"exporters={{otlphttp: {{endpoint: 'http://127.0.0.1:{sink.port}', compression: none}}}}"])

        traces = {os.urandom(16): set() for _ in range(60)}

        def send(front, error):
            for number, trace in enumerate(traces):
                span = os.urandom(8)
                traces[trace].add(span)
                post(front, otlp.request([otlp.span(trace, span_id=span, parent=b"12345678", error=error and number % 2 == 0)]))

        front_home = os.path.join(directory, "front")
        os.makedirs(front_home)
        with shipped("kafka-front.yaml", binary, front_home, [f"exporters.kafka.brokers.0={kafka.broker}"]) as front:
            a, b = tier("tier-a"), tier("tier-b")
            try:
                until(lambda: all(d.metrics().sum("tailgate_kafka_rebalances_total", change="assigned") for d in (a, b)), "both have partitions", 60, 0.2)
                send(front, True)
                until(lambda: sum(d.metrics().sum("tailgate_buffer_spans") for d in (a, b)) == 60, "60 spans are held", 30, 0.1)
                a.kill()
                a = tier("tier-a")
                send(front, False)
                kept = {trace: spans for number, (trace, spans) in enumerate(traces.items()) if number % 2 == 0}
                until(lambda: all(sink.snapshot().get(t) == spans for t, spans in kept.items()), "what is kept is there whole", 60, 0.2)
                expect(b.stop() == 0, "the daemon did not end with 0")
                send(front, True)  # late, and an error changes nothing
                until(lambda: all(sink.snapshot().get(t) == spans for t, spans in kept.items()), "late spans follow, by another member", 90, 0.2)
                wrong = [t for t in sink.snapshot() if t not in kept]
                expect(len(wrong) <= 3, f"{len(wrong)} traces are kept that are not to be")  # `baseline` is one of a hundred
                a.metrics().check_law()
                expect(a.stop() == 0, "the daemon did not end with 0")
            finally:
                for daemon in (a, b):
                    daemon.kill()
        sink.close()
    say("  60 traces by two members, one killed and one gone")


def test_kafka_chaos(tools, binary, directory):
    """The chaos of the component test with a real broker, which restarts in the middle."""
    chaos = component("kafka_test")
    with Kafka(tools, directory, **{"group.min.session.timeout.ms": 1000}) as kafka:
        kafka.topic(chaos.SPANS, chaos.PARTITIONS)
        kafka.topic(chaos.VERDICTS, chaos.PARTITIONS, "cleanup.policy=compact")

        def restart():
            kafka.stop()
            kafka.start()

        case = chaos.Case(binary, directory, kafka.broker)
        try:
            chaos.test_chaos(case, cycles=int(os.environ.get("CYCLES", "10")), also=restart)
        finally:
            case.close()

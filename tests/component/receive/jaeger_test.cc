// SPDX-License-Identifier: Apache-2.0
// The Jaeger receiver over real sockets: gRPC, HTTP and both kinds of datagrams, and what is refused.
#include "receive/jaeger.h"

#include "component/receive/convert_fixture.h"
#include "support/foreign_cases.h"
#include "support/thrift_writer.h"

using namespace tailgate;
using namespace tailgate::test;
using namespace std::chrono_literals;

namespace {

enum Port : std::size_t { kGrpc, kHttp, kCompactUdp, kBinaryUdp };

JaegerConfig all_protocols(std::size_t receive_buffer = 8 << 20) {
  JaegerConfig config;
  config.grpc.emplace();
  config.grpc->endpoint = "localhost:0";
  config.thrift_http = config.grpc;
  config.thrift_compact = UdpOptions{"localhost:0", receive_buffer, 65'000};
  config.thrift_binary = config.thrift_compact;
  return config;
}

struct JaegerFixture : ConvertFixture {
  explicit JaegerFixture(JaegerConfig config = all_protocols(), std::size_t budget_bytes = 256 << 20,
                         Answer sampling_strategy = {})
      : ConvertFixture(make_jaeger_receiver(std::move(config), "jaeger"), budget_bytes, std::move(sampling_strategy)) {}

  ReceiverStats stats() const { return receiver->stats(); }
  std::uint64_t dropped(std::string_view reason) const {
    const auto at = std::find(kUdpDropNames.begin(), kUdpDropNames.end(), reason) - kUdpDropNames.begin();
    return stats().udp_dropped[static_cast<std::size_t>(at)];
  }
  // Until so many datagrams are accounted for as dropped for this reason.
  bool wait_dropped(std::string_view reason, std::uint64_t count) const {
    for (int i = 0; i < 5000 && dropped(reason) < count; ++i) std::this_thread::sleep_for(1ms);
    return dropped(reason) == count;
  }
};

Fields grpc(std::string path = std::string(kJaegerPostSpans), Fields more = {}) {
  Fields out = H2Client::post(std::move(path), {{"content-type", "application/grpc"}, {"te", "trailers"}});
  out.insert(out.end(), more.begin(), more.end());
  return out;
}
std::string framed(std::string_view payload, char flag = '\0') {
  return std::string(1, flag) + u32(static_cast<std::uint32_t>(payload.size())) + std::string(payload);
}

twin::jaeger::Batch some_batch(int spans = 2) {
  twin::jaeger::Batch batch;
  batch.mutable_process()->set_service_name("shop");
  for (int i = 0; i < spans; ++i) {
    auto* span = batch.add_spans();
    span->set_trace_id(std::string(16, 'T'));
    span->set_span_id("span-00" + std::to_string(i % 10));
    span->set_operation_name("op");
    span->mutable_start_time()->set_seconds(5);
  }
  return batch;
}
std::string request_of(const twin::jaeger::Batch& batch) {
  twin::jaeger::PostSpansRequest request;
  *request.mutable_batch() = batch;
  return request.SerializeAsString();
}

}  // namespace

TEST_CASE("Jaeger: one batch by every protocol gives the same spans", "[receive]") {
  JaegerFixture f;
  const auto batch = some_batch();
  const std::string proto = request_of(batch);
  H2Client h2(f.ports[kGrpc]);
  auto reply = h2.call(grpc(), framed(proto));
  CHECK(reply.fields["grpc-status"] == "0");
  CHECK(reply.body == std::string(5, '\0'));
  reply = h2.call(grpc(std::string(kJaegerPostSpans), {{"grpc-encoding", "gzip"}}), framed(gzip(proto), '\1'));
  CHECK(reply.fields["grpc-status"] == "0");

  const std::string binary = thrift_batch<BinaryWriter>(batch);
  for (const char* type : {"application/x-thrift", "application/vnd.apache.thrift.binary; charset=x"}) {
    const std::string text = f.call(kHttp, http("/api/traces?format=jaeger.thrift", type, binary));
    CHECK(text.find("HTTP/1.1 202") == 0);
    CHECK(text.ends_with("\r\n\r\n"));
  }
  CHECK(f.status(kHttp, http("/api/traces", "application/x-thrift", gzip(binary), "Content-Encoding: gzip\r\n")) ==
        "202");

  for (const bool v6 : {false, true}) {
    const UdpSender compact(f.ports[kCompactUdp], v6), old(f.ports[kBinaryUdp], v6);
    if (!compact.connected()) continue;  // no IPv6 here
    CHECK(compact.send(thrift_message<CompactWriter>(batch)));
    CHECK(old.send(thrift_message<BinaryWriter>(batch, {}, {}, 1, false)));
    CHECK(f.wait_for(v6 ? 18 : 14));
  }
  const std::string want = expected_of(batch, {})[0].text();
  CHECK(f.good);
  for (std::size_t i = 0; i < f.taken.size(); i += 2) CHECK(f.taken[i].text() == want);
  CHECK(f.by_format["jaeger_proto"] == 4);
  CHECK(f.by_format["thrift_compact"] >= 2);
  CHECK(f.by_format["thrift_binary"] >= 8);
  CHECK(f.refused.empty());
}

TEST_CASE("Jaeger: SDKs that ask what to sample are answered on the port of gRPC", "[receive]") {
  JaegerFixture f(all_protocols(), 256 << 20, [](ByteView request) -> Result<std::string> {
    if (request == "bad") return fail(ErrorKind::kBadInput, "expected another message");
    return "answer to " + std::string(request);
  });
  const std::string path(kJaegerGetSamplingStrategy);
  H2Client h2(f.ports[kGrpc]);
  auto reply = h2.call(grpc(path), framed("shop"));
  CHECK(reply.fields["grpc-status"] == "0");
  CHECK(reply.body == framed("answer to shop"));
  reply = h2.call(grpc(path, {{"grpc-encoding", "gzip"}}), framed(gzip("mail"), '\1'));
  CHECK(reply.body == framed("answer to mail"));
  reply = h2.call(grpc(path), framed("bad"));
  CHECK(reply.fields["grpc-status"] == "3");
  CHECK(reply.fields["grpc-message"] == "expected another message");
  CHECK(h2.call(grpc(path), framed(std::string(65'537, 'x'))).fields["grpc-status"] == "8");
  CHECK(h2.call(grpc(), framed(request_of(some_batch()))).fields["grpc-status"] == "0");
  CHECK(f.count() == 2);
  CHECK(f.refused == std::map<std::string, int>{{"limit", 1}, {"malformed", 1}});
}

TEST_CASE("Jaeger: what is refused over gRPC and HTTP, and how", "[receive]") {
  JaegerFixture f;
  H2Client h2(f.ports[kGrpc]);
  CHECK(h2.call(grpc("/jaeger.api_v2.SamplingManager/GetSamplingStrategy"), framed("")).fields["grpc-status"] == "12");
  CHECK(h2.call(grpc(std::string(kJaegerPostSpans), {{"grpc-encoding", "snappy"}}), framed("x", '\1'))
            .fields["grpc-status"] == "12");
  auto reply = h2.call(grpc(), framed("\x0A\x04\x0A\x02\x42\x7F"));
  CHECK(reply.fields["grpc-status"] == "3");
  CHECK(reply.fields["grpc-message"].find("batch.spans[0]") == 0);
  CHECK(h2.call(grpc(), "abc").fields["grpc-status"] == "13");

  CHECK(f.status(kHttp, http("/api/traces", "application/json", "{}")) == "415");
  CHECK(f.status(kHttp, http("/api/traces", "", "")) == "415");
  CHECK(f.status(kHttp, http("/api/traces", "application/x-thrift", "", "", "GET")) == "405");
  CHECK(f.status(kHttp, http("/api/other", "application/x-thrift", "")) == "404");
  CHECK(f.status(kHttp, http("/api/traces", "application/x-thrift", "x", "Content-Encoding: br\r\n")) == "415");
  CHECK(f.status(kHttp, http("/api/traces", "application/x-thrift", "xx", "Content-Encoding: gzip\r\n")) == "400");
  const std::string text =
      f.call(kHttp, http("/api/traces", "application/x-thrift", std::string("\x0F\0\2\x0C\x7F\xFF\xFF\xFF", 8)));
  CHECK(text.find("HTTP/1.1 400") == 0);
  CHECK(text.find("near byte 8 of 8") != std::string::npos);
  CHECK(f.refused == std::map<std::string, int>{{"malformed", 4}, {"unsupported", 7}});
  REQUIRE(f.logged.size() == 11);
  CHECK(f.logged[0] ==
        "jaeger_proto unsupported 127.0.0.1 unknown method /jaeger.api_v2.SamplingManager/GetSamplingStrategy");
  CHECK(f.logged[10].starts_with("thrift_binary malformed 127.0.0.1 spans["));

  f.answer = {IngestResult::Kind::kNoMemory, 0, "full"};
  const std::string binary = thrift_batch<BinaryWriter>(some_batch());
  const std::string full = f.call(kHttp, http("/api/traces", "application/x-thrift", binary));
  CHECK(full.find("HTTP/1.1 503") == 0);
  CHECK(full.find("retry-after: 1\r\n") != std::string::npos);
  reply = h2.call(grpc(), framed(request_of(some_batch())));
  CHECK(reply.fields["grpc-status"] == "14");
  CHECK(reply.fields.count("grpc-status-details-bin") == 1);
  CHECK(f.refused["no_memory"] == 2);
  f.receiver->drain();
}

TEST_CASE("Jaeger: a conversion that would not fit the budget is refused, and gives all of it back",
          "[receive][hostile]") {
  JaegerFixture f(all_protocols(), 2 << 20);
  twin::jaeger::Batch batch = some_batch(1);
  for (int i = 0; i < 60'000; ++i) {
    auto* ref = batch.mutable_spans(0)->add_references();
    ref->set_trace_id(std::string(15, '\0') + '\1');
    ref->set_span_id(std::string(7, '\0') + '\1');
    ref->set_ref_type(1);
  }
  const std::string binary = thrift_batch<BinaryWriter>(batch);
  CHECK(f.status(kHttp, http("/api/traces", "application/x-thrift", binary)) == "503");
  CHECK(f.refused == std::map<std::string, int>{{"no_memory", 1}});
  CHECK(f.budget.used(Holder::kRequests) == 0);
  CHECK(f.status(kHttp, http("/api/traces", "application/x-thrift", thrift_batch<BinaryWriter>(some_batch()))) ==
        "202");
}

TEST_CASE("Jaeger: datagrams that give no span are counted by reason", "[receive][hostile]") {
  JaegerConfig config = all_protocols();
  config.thrift_compact->datagram_bytes_max = 2000;
  JaegerFixture f(std::move(config));
  const UdpSender compact(f.ports[kCompactUdp]);
  compact.send("");
  compact.send("no thrift");
  compact.send(std::string(1500, '\x82'));
  compact.send(thrift_message<BinaryWriter>(some_batch()));
  CHECK(f.wait_dropped("malformed", 4));
  compact.send(thrift_message<CompactWriter>(some_batch(200)));
  CHECK(f.wait_dropped("too_large", 1));
  CHECK(f.count() == 0);
  compact.send(thrift_message<CompactWriter>(some_batch()));
  CHECK(f.wait_for(2));
  f.mutex.lock();
  f.answer.kind = IngestResult::Kind::kNoMemory;
  f.mutex.unlock();
  compact.send(thrift_message<CompactWriter>(some_batch()));
  CHECK(f.wait_dropped("no_memory", 1));
  f.mutex.lock();
  f.fails = true;
  f.mutex.unlock();
  compact.send(thrift_message<CompactWriter>(some_batch()));
  CHECK(f.wait_dropped("no_memory", 2));
  f.mutex.lock();
  f.fails = false;
  f.answer.kind = IngestResult::Kind::kAccepted;
  f.mutex.unlock();
  compact.send(thrift_message<CompactWriter>(some_batch()));
  CHECK(f.wait_for(4));
  f.receiver->stop(0ms);
  CHECK(f.budget.used(Holder::kRequests) == 0);
  REQUIRE(f.logged.size() == 7);
  const std::string here = "127.0.0.1 datagram to localhost:0: ";
  CHECK(f.logged[0] == "thrift_compact malformed " + here + "no Thrift message of this protocol");
  CHECK(f.logged[3] == "thrift_compact malformed " + here +
                           "no Thrift message of this protocol; it looks like the binary one, for thrift_binary");
  CHECK(f.logged[4] == "thrift_compact too_large " + here + "larger than 2000 bytes");
  CHECK(f.logged[5].starts_with("thrift_compact no_memory " + here));
  CHECK(f.logged[6] == "thrift_compact no_memory " + here + "std::bad_alloc");
}

TEST_CASE("Jaeger: every datagram is either received or counted as dropped by the kernel", "[receive]") {
  JaegerFixture f(all_protocols(64 << 10));
  const std::string datagram = thrift_message<CompactWriter>(some_batch(1));
  std::size_t sent = 0;
  {
    const std::lock_guard stalled(f.mutex);  // the handler waits, so the small buffers run over
    const UdpSender a(f.ports[kCompactUdp]), b(f.ports[kCompactUdp]);
    for (int i = 0; i < 2000; ++i)
      sent += static_cast<std::size_t>(a.send(datagram)) + static_cast<std::size_t>(b.send(datagram));
  }
  for (int i = 0; i < 5000 && f.count() + f.dropped("kernel") < sent; ++i) std::this_thread::sleep_for(1ms);
  CHECK(f.count() + f.dropped("kernel") == sent);
  CHECK(f.dropped("kernel") > 0);
  f.receiver->stop(0ms);
  CHECK(f.count() + f.dropped("kernel") == sent);  // the counts outlive the sockets
}

TEST_CASE("Jaeger: what arrived before a stop is still taken", "[receive]") {
  JaegerFixture f;
  const UdpSender compact(f.ports[kCompactUdp]);
  const std::string datagram = thrift_message<CompactWriter>(some_batch(1));
  for (int i = 0; i < 500; ++i) compact.send(datagram);
  f.receiver->stop(0ms);
  CHECK(f.count() == 500);
}

TEST_CASE("Jaeger: what clients lose is counted from the first batch on", "[receive]") {
  JaegerFixture f;
  const auto send = [&](std::int64_t seq_no, const std::string& uuid, bool stats) {
    twin::jaeger::Batch batch = some_batch(1);
    auto* tag = batch.mutable_process()->add_tags();
    tag->set_key("client-uuid");
    tag->set_v_str(uuid);
    CHECK(f.status(kHttp, http("/api/traces", "application/x-thrift",
                               thrift_batch<BinaryWriter>(batch, {}, {seq_no, stats}))) == "202");
  };
  send(5, "a", false);
  send(6, "a", false);
  send(9, "a", false);  // 7 and 8 are missing
  send(100, "b", false);
  send(8, "a", false);  // late
  send(101, "b", false);
  CHECK(f.stats().client_lost_batches == 2);
  JaegerClients clients;
  JaegerClient said;
  said.uuid = "c";
  said.lost = JaegerClientLost{10, 0, 3};
  clients.record(said, 1);
  said.lost = JaegerClientLost{12, 1, 3};
  clients.record(said, 2);
  CHECK(clients.lost().spans == std::array<std::uint64_t, 3>{2, 1, 0});
  said.lost = JaegerClientLost{1, 0, 0};  // begun anew
  clients.record(said, 2);
  CHECK(clients.lost().spans == std::array<std::uint64_t, 3>{2, 1, 0});
}

TEST_CASE("Jaeger: a UDP port that is taken is an error", "[receive]") {
  JaegerFixture f;
  JaegerConfig config;
  config.thrift_compact = UdpOptions{"127.0.0.1:" + std::to_string(f.ports[kCompactUdp]), 8 << 20, 65'000};
  auto second = make_jaeger_receiver(config, "jaeger/2");
  ReceiverContext context;
  context.threads = &f.threads;
  const auto started = second->start(context);
  REQUIRE_FALSE(started);
  CHECK(started.error().kind == ErrorKind::kIo);
}

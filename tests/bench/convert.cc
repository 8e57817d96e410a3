// SPDX-License-Identifier: Apache-2.0
// What it costs to turn a span of another format into OTLP bytes, per span of about 1 KB (the large shape's
// attributes). Requests of 80 spans, and of one, as datagrams have them.
#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include "support/random_otlp.h"
#include "support/thrift_writer.h"
#include "wire/jaeger/proto.h"
#include "wire/jaeger/thrift.h"
#include "wire/zipkin/zipkin.h"
#include "zipkin_twin.pb.h"

using namespace tailgate;
using namespace tailgate::test;

namespace {

constexpr int kAttributes = 14;

std::string random_text(Random& r) {
  std::string out;
  while (out.size() < 40) out.push_back(static_cast<char>('a' + r.below(26)));
  return out;
}

std::string random_id(Random& r, std::size_t size) {
  std::string out;
  while (out.size() < size) out.push_back(static_cast<char>(1 + r.below(200)));
  return out;
}

twin::jaeger::Batch jaeger_batch(std::int64_t spans) {
  Random r(1);
  twin::jaeger::Batch batch;
  batch.mutable_process()->set_service_name("service-1");
  for (std::int64_t i = 0; i < spans; ++i) {
    auto* span = batch.add_spans();
    span->set_trace_id(random_id(r, 16));
    span->set_span_id(random_id(r, 8));
    span->set_operation_name(fmt::format("GET /api/v1/resource/{}", i));
    span->set_flags(1);
    span->mutable_start_time()->set_seconds(1'700'000'000);
    span->mutable_duration()->set_nanos(20'000'000);
    auto* ref = span->add_references();
    ref->set_trace_id(span->trace_id());
    ref->set_span_id(random_id(r, 8));
    const auto tag = [&](const std::string& key, const std::string& value) {
      auto* t = span->add_tags();
      t->set_key(key);
      t->set_v_str(value);
    };
    tag("span.kind", "server");
    tag("http.route", "/api/v1/resource/{id}");
    for (int a = 1; a < kAttributes; ++a) tag(fmt::format("app.attribute.{}", a), random_text(r));
  }
  return batch;
}

twin::zipkin::ListOfSpans zipkin_list(std::int64_t spans) {
  Random r(1);
  twin::zipkin::ListOfSpans list;
  for (std::int64_t i = 0; i < spans; ++i) {
    auto* span = list.add_spans();
    span->set_trace_id(random_id(r, 16));
    span->set_id(random_id(r, 8));
    span->set_parent_id(random_id(r, 8));
    span->set_kind(2);
    span->set_name(fmt::format("GET /api/v1/resource/{}", i));
    span->set_timestamp(1'700'000'000'000'000);
    span->set_duration(20'000);
    span->mutable_local_endpoint()->set_service_name("service-1");
    for (int a = 0; a < kAttributes; ++a) {
      auto* t = span->add_tags();
      t->set_key(fmt::format("app.attribute.{}", a));
      t->set_value(random_text(r));
    }
  }
  return list;
}

std::string zipkin_json(const twin::zipkin::ListOfSpans& list) {
  const auto hex = [](const std::string& bytes) {
    std::string out;
    for (const char c : bytes) out += fmt::format("{:02x}", static_cast<std::uint8_t>(c));
    return out;
  };
  std::string out = "[";
  for (const auto& s : list.spans()) {
    out += fmt::format(
        R"({}{{"traceId":"{}","id":"{}","parentId":"{}","kind":"SERVER","name":"{}","timestamp":{},"duration":{},"localEndpoint":{{"serviceName":"{}"}},"tags":{{)",
        out.size() > 1 ? "," : "", hex(s.trace_id()), hex(s.id()), hex(s.parent_id()), s.name(), s.timestamp(),
        s.duration(), s.local_endpoint().service_name());
    for (const auto& t : s.tags())
      out += fmt::format(R"({}"{}":"{}")", out.back() == '{' ? "" : ",", t.key(), t.value());
    out += "}}";
  }
  return out + "]";
}

template <class Convert>
void run(benchmark::State& state, const std::string& bytes, Convert convert) {
  ByteSink out;
  for (auto _ : state) {
    out.clear();
    if (!convert(ByteView(bytes), out)) state.SkipWithError("not converted");
    benchmark::DoNotOptimize(out.view().data());
  }
  state.SetItemsProcessed(state.iterations() * state.range(0));
  state.SetLabel(fmt::format("{} bytes a span in", bytes.size() / static_cast<std::size_t>(state.range(0))));
}

void convert_jaeger_proto(benchmark::State& state) {
  twin::jaeger::PostSpansRequest request;
  *request.mutable_batch() = jaeger_batch(state.range(0));
  run(state, request.SerializeAsString(), [](ByteView in, ByteSink& out) { return jaeger_proto_to_otlp(in, out); });
}
void convert_thrift_binary(benchmark::State& state) {
  run(state, thrift_batch<BinaryWriter>(jaeger_batch(state.range(0))),
      [](ByteView in, ByteSink& out) { return jaeger_batch_to_otlp(in, ThriftProtocol::kBinary, out); });
}
void convert_thrift_compact(benchmark::State& state) {
  run(state, thrift_message<CompactWriter>(jaeger_batch(state.range(0))),
      [](ByteView in, ByteSink& out) { return jaeger_message_to_otlp(in, ThriftProtocol::kCompact, out); });
}
void convert_zipkin_json(benchmark::State& state) {
  run(state, zipkin_json(zipkin_list(state.range(0))),
      [](ByteView in, ByteSink& out) { return zipkin_json_to_otlp(in, {}, out); });
}
void convert_zipkin_proto(benchmark::State& state) {
  run(state, zipkin_list(state.range(0)).SerializeAsString(),
      [](ByteView in, ByteSink& out) { return zipkin_proto_to_otlp(in, {}, out); });
}

}  // namespace

BENCHMARK(convert_jaeger_proto)->Arg(80)->Arg(1);
BENCHMARK(convert_thrift_binary)->Arg(80)->Arg(1);
BENCHMARK(convert_thrift_compact)->Arg(80)->Arg(1);
BENCHMARK(convert_zipkin_json)->Arg(80)->Arg(1);
BENCHMARK(convert_zipkin_proto)->Arg(80)->Arg(1);

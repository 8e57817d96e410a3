// SPDX-License-Identifier: Apache-2.0
// Generated Jaeger and Zipkin batches that use every row of the mapping tables, also in odd combinations. One seeded
// generator; the same seed gives the same batches on every machine.
#pragma once

#include <fmt/format.h>

#include <string>
#include <vector>

#include "jaeger_twin.pb.h"
#include "support/random_otlp.h"
#include "zipkin_twin.pb.h"

namespace tailgate::test {

class ForeignCases {
 public:
  explicit ForeignCases(std::uint64_t seed) : r_(seed) {}

  struct Jaeger {
    twin::jaeger::Batch batch;
    std::vector<std::uint64_t> parents;  // Thrift's parentSpanId
  };
  // `thrift`: only what Thrift can say: ids of full length, whole microseconds, one process.
  Jaeger jaeger(bool thrift) {
    Jaeger out;
    fill(*out.batch.mutable_process());
    const std::uint64_t spans = r_.one_in(20) ? 40 : r_.below(5);
    for (std::uint64_t i = 0; i < spans; ++i) {
      auto* span = out.batch.add_spans();
      const std::string trace = trace_id(!thrift && r_.one_in(4));
      span->set_trace_id(trace);
      span->set_span_id(id());
      span->set_operation_name(word());
      span->set_flags(static_cast<std::uint32_t>(r_.below(5)));
      fill(*span->mutable_start_time(), thrift, 1'700'000'000);
      fill(*span->mutable_duration(), thrift, 3);
      out.parents.push_back(r_.one_in(2) ? 0 : 1 + r_.below(3));
      for (std::uint64_t n = r_.below(4); n != 0; --n) {
        auto* ref = span->add_references();
        ref->set_trace_id(r_.one_in(3) ? trace_id(false) : trace);
        ref->set_span_id(r_.one_in(8) ? std::string(8, '\0')
                                      : std::string(7, '\0') + static_cast<char>(1 + r_.below(3)));
        ref->set_ref_type(static_cast<std::int32_t>(r_.below(2)));
      }
      tags(*span->mutable_tags());
      for (std::uint64_t n = r_.below(3); n != 0; --n) {
        auto* log = span->add_logs();
        fill(*log->mutable_timestamp(), thrift, 1'700'000'000);
        tags(*log->mutable_fields());
      }
      if (!thrift && r_.one_in(4)) fill(*span->mutable_process());
    }
    return out;
  }

  twin::zipkin::ListOfSpans zipkin() {
    twin::zipkin::ListOfSpans out;
    for (std::uint64_t i = r_.below(6); i != 0; --i) {
      auto* span = out.add_spans();
      span->set_trace_id(trace_id(r_.one_in(4)));
      span->set_id(id());
      if (r_.one_in(2)) span->set_parent_id(r_.one_in(3) ? span->id() : id());
      span->set_kind(static_cast<std::int32_t>(r_.below(5)));
      span->set_name(word());
      if (!r_.one_in(5)) span->set_timestamp(1'700'000'000'000'000 + r_.below(1'000'000));
      span->set_duration(r_.below(1'000'000));
      if (!r_.one_in(4)) fill(*span->mutable_local_endpoint());
      if (r_.one_in(2)) fill(*span->mutable_remote_endpoint());
      for (std::uint64_t n = r_.below(3); n != 0; --n) {
        auto* annotation = span->add_annotations();
        annotation->set_timestamp(1'700'000'000'000'000 + r_.below(1'000'000));
        annotation->set_value(word());
      }
      for (std::uint64_t n = r_.below(7); n != 0; --n) {
        auto* tag = span->add_tags();
        tag->set_key(key());
        tag->set_value(special(tag->key()));
      }
      span->set_debug(r_.one_in(8));
      span->set_shared(r_.one_in(8));
    }
    return out;
  }

 private:
  std::string word() {
    static const char* const kWords[] = {
        "", "GET /", "a", "caf\xC3\xA9", "line\nbreak \"quoted\" \\ \t", "\xF0\x9F\x98\x80"};
    return r_.one_in(12) ? std::string(100 + r_.below(400), 'x') : kWords[r_.below(6)];
  }
  std::string key() {
    static const char* const kKeys[] = {"error",
                                        "span.kind",
                                        "otel.status_code",
                                        "otel.status_description",
                                        "http.status_code",
                                        "http.status_message",
                                        "w3c.tracestate",
                                        "otel.scope.name",
                                        "otel.scope.version",
                                        "otel.library.name",
                                        "otel.library.version",
                                        "hostname",
                                        "host.name",
                                        "jaeger.version",
                                        "opencensus.exporterversion",
                                        "service.name",
                                        "event",
                                        "peer.service",
                                        "net.host.ip",
                                        "net.peer.port",
                                        "http.response.status_code",
                                        "network.peer.address",
                                        "service.peer.name"};
    return r_.one_in(3) ? fmt::format("key-{}", r_.below(30)) : kKeys[r_.below(std::size(kKeys))];
  }
  std::string special(const std::string& for_key) {
    const auto one_of = [&](std::initializer_list<const char*> words) {
      return std::string(words.begin()[r_.below(words.size())]);
    };
    if (for_key == "error") return one_of({"true", "True", "false", "boom", ""});
    if (for_key == "span.kind") return one_of({"client", "server", "producer", "CONSUMER", "Internal", "other"});
    if (for_key == "otel.status_code")
      return one_of({"OK", "ERROR", "error", "STATUS_CODE_OK", "STATUS_CODE_ERROR", "?"});
    if (for_key.ends_with(".status_code") && for_key.starts_with("http."))
      return one_of({"200", "404", "503", "0", "abc", "399"});
    if (for_key.starts_with("otel.")) return one_of({"", "lib", "lib2"});
    return word();
  }
  void tags(google::protobuf::RepeatedPtrField<twin::jaeger::KeyValue>& out) {
    for (std::uint64_t n = r_.one_in(30) ? 60 : r_.below(7); n != 0; --n) {
      auto* tag = out.Add();
      tag->set_key(key());
      tag->set_v_type(static_cast<std::int32_t>(r_.one_in(2) ? 0 : r_.below(5)));
      if (tag->v_type() == 0) tag->set_v_str(special(tag->key()));
      if (tag->v_type() == 1) tag->set_v_bool(r_.one_in(2));
      if (tag->v_type() == 2) {
        tag->set_v_int64(tag->key() == "http.status_code" ? static_cast<std::int64_t>(r_.below(700))
                                                          : static_cast<std::int64_t>(r_.next()) >> r_.below(64));
      }
      if (tag->v_type() == 3) tag->set_v_float64(static_cast<double>(r_.below(1000)) / 8);
      if (tag->v_type() == 4) tag->set_v_binary(std::string("\xFF\0\x01", r_.below(4)));
    }
  }
  void fill(twin::jaeger::Process& process) {
    process.set_service_name(r_.one_in(8)   ? "OTLPResourceNoServiceName"
                             : r_.one_in(8) ? ""
                                            : fmt::format("s{}", r_.below(3)));
    tags(*process.mutable_tags());
  }
  void fill(twin::jaeger::Seconds& time, bool micros, std::int64_t around) {
    time.set_seconds(around + static_cast<std::int64_t>(r_.below(3)));
    time.set_nanos(static_cast<std::int32_t>(micros ? r_.below(1'000'000) * 1000 : r_.below(1'000'000'000)));
  }
  void fill(twin::zipkin::Endpoint& out) {
    if (!r_.one_in(4)) out.set_service_name(fmt::format("s{}", r_.below(3)));
    if (r_.one_in(2)) out.set_ipv4(std::string("\x0A\0\xFF", 3) + static_cast<char>(1 + r_.below(200)));
    if (r_.one_in(3)) out.set_ipv6(std::string(15, '\0') + '\1');
    if (r_.one_in(2)) out.set_port(static_cast<std::int32_t>(r_.below(65'536)));
  }
  std::string trace_id(bool half) {
    std::string out;
    while (out.size() < (half ? 8 : 16)) out.push_back(static_cast<char>(1 + r_.below(200)));
    if (!half && r_.one_in(4)) out.replace(0, 8, 8, '\0');
    return out;
  }
  std::string id() {
    std::string out;
    while (out.size() < 8) out.push_back(static_cast<char>(1 + r_.below(200)));
    return out;
  }

  Random r_;
};

}  // namespace tailgate::test

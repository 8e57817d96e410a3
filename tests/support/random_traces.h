// SPDX-License-Identifier: Apache-2.0
// Generated traces with everything an OTLP span can hold: values of every kind, events, links, status, scopes. One
// seeded generator; the same seed gives the same trace on every machine.
#pragma once

#include <string>

#include "otlp_twin.pb.h"
#include "support/random_otlp.h"

namespace tailgate::test {

class RandomTraces {
 public:
  explicit RandomTraces(std::uint64_t seed) : r_(seed) {}

  twin::TracesData next() {
    twin::TracesData data;
    for (std::uint64_t n = 1 + r_.below(2); n != 0; --n) {
      auto& resource = *data.add_resource_spans();
      attributes(*resource.mutable_resource()->mutable_attributes(), 4);
      for (std::uint64_t k = 1 + r_.below(2); k != 0; --k) {
        auto& scope = *resource.add_scope_spans();
        if (!r_.one_in(3)) scope.mutable_scope()->set_name("lib");
        if (r_.one_in(2)) scope.mutable_scope()->set_version("1.2");
        for (std::uint64_t i = 1 + r_.below(4); i != 0; --i) span(*scope.add_spans());
      }
    }
    return data;
  }

 private:
  std::string id(std::size_t size) {
    std::string out;
    while (out.size() < size) out.push_back(static_cast<char>(1 + r_.below(255)));
    return out;
  }
  std::string word() {
    static const std::string kWords[] = {
        "",
        "true",
        "7",
        "a b",
        "tab\t\"quoted\"\\",
        "stra\xc3\x9f"
        "e",
        "<&>/",
        "/pay",
        "10.0.0.1",
    };
    return kWords[r_.below(std::size(kWords))];
  }
  std::uint64_t time() {
    if (r_.one_in(30)) return r_.one_in(2) ? 0 : UINT64_MAX >> r_.below(2);
    return r_.one_in(9) ? r_.below(3000) : 1'790'000'000'000'000'000ULL + r_.below(9'000'000'000);
  }

  void value(twin::AnyValue& out, int depth) {
    static constexpr double kDoubles[] = {0, -0.5, 3, 1e21, 1.25e-7, 0.1, -1e300, 123456.789};
    switch (r_.below(depth > 2 ? 6 : 8)) {
      case 0:
        out.set_bool_value(r_.one_in(2));
        break;
      case 1:
        out.set_int_value(static_cast<std::int64_t>(r_.one_in(3) ? r_.next() : r_.below(70000)));
        break;
      case 2:
        out.set_double_value(kDoubles[r_.below(std::size(kDoubles))]);
        break;
      case 3:
        out.set_bytes_value(id(r_.below(6)));
        break;
      case 6:
        out.mutable_array_value();
        for (std::uint64_t n = r_.below(4); n != 0; --n) value(*out.mutable_array_value()->add_values(), depth + 1);
        break;
      case 7:
        out.mutable_kvlist_value();
        attributes(*out.mutable_kvlist_value()->mutable_values(), 3, depth + 1);
        break;
      default:
        out.set_string_value(word());
    }
  }
  template <class List>
  void attributes(List& list, std::uint64_t most, int depth = 0) {
    static const std::string kKeys[] = {"service.name",
                                        "faas.name",
                                        "http.route",
                                        "error",
                                        "span.kind",
                                        "event",
                                        "peer.service",
                                        "net.peer.ip",
                                        "network.peer.address",
                                        "service.peer.name",
                                        "network.peer.port",
                                        "http.response.status_code",
                                        "net.peer.port",
                                        "net.host.ip",
                                        "net.host.port",
                                        "a.b",
                                        "z",
                                        "opentracing.ref_type"};
    for (std::uint64_t n = r_.below(most + 1); n != 0; --n) {
      auto& kv = *list.Add();
      kv.set_key(kKeys[r_.below(std::size(kKeys))]);
      value(*kv.mutable_value(), depth);
    }
  }
  void span(twin::Span& s) {
    s.set_trace_id(id(16));
    s.set_span_id(id(8));
    if (r_.one_in(2)) s.set_parent_span_id(r_.one_in(9) ? std::string(8, '\0') : id(8));
    if (r_.one_in(4)) s.set_trace_state("a=b,ot=th:8");
    s.set_name(word());
    s.set_kind(static_cast<int>(r_.below(7)));
    s.set_start_time_unix_nano(time());
    s.set_end_time_unix_nano(time());
    if (r_.one_in(3)) s.set_flags(static_cast<std::uint32_t>(r_.below(1024)));
    attributes(*s.mutable_attributes(), 6);
    for (std::uint64_t n = r_.below(3); n != 0; --n) {
      auto& event = *s.add_events();
      event.set_time_unix_nano(time());
      event.set_name(word());
      attributes(*event.mutable_attributes(), 3);
    }
    for (std::uint64_t n = r_.below(3); n != 0; --n) {
      auto& link = *s.add_links();
      const bool parent = r_.one_in(3) && s.parent_span_id().size() == 8;
      link.set_trace_id(parent ? s.trace_id() : id(16));
      link.set_span_id(parent ? s.parent_span_id() : id(8));
      if (r_.one_in(2)) {
        auto& kv = *link.add_attributes();
        kv.set_key("opentracing.ref_type");
        kv.mutable_value()->set_string_value(r_.one_in(2) ? "child_of" : "follows_from");
      }
    }
    if (r_.one_in(2)) {
      s.mutable_status()->set_code(static_cast<int>(r_.below(4)));
      if (r_.one_in(2)) s.mutable_status()->set_message("boom");
    }
  }

  Random r_;
};

}  // namespace tailgate::test

// SPDX-License-Identifier: Apache-2.0
// Traffic for load tests: a pool of requests encoded before the clock starts; sending one patches trace ids only.
//
// A group is a set of traces whose spans are spread over the group's requests, one request per service. Which traces
// are errors, slow or on a listed route is laid down in the pool; the 1 % by chance follows from the id, so the
// generator knows exactly which traces must be kept.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "model/ids.h"

namespace tailgate::bench {

struct Shape {
  std::string_view name;
  std::size_t services;                 // requests per group
  std::size_t traces;                   // per group
  std::size_t spans_per_service;        // of one trace in one request
  std::size_t attributes, value_bytes;  // per span, tuned to the bytes per span wanted
  bool mixed = false;                   // a trace has 1 to 2 * services * spans_per_service spans, log-uniform
  std::size_t names = 1;  // a span's name has one of so many endings: times as many series of span metrics
  // Two fifths of a trace's spans are CLIENT and two fifths their SERVER children in other requests, the rest INTERNAL;
  // else all are SERVER.
  bool calls = false;
  // Ids, times and values differ as those of SDKs do, so that they compress alike; else values are random letters, and
  // ids and times count. Takes no notice of `attributes` and `value_bytes`: always 16 attributes.
  bool like_sdk = false;
  std::size_t spans_per_request() const { return traces * spans_per_service; }  // unless mixed
};
inline constexpr Shape kLarge{"large", 5, 8, 10, 14, 40};  // 50 spans a trace, 80 a request, about 1 KB a span
inline constexpr Shape kSmall{"small", 1, 16, 8, 4, 20};   // 8 spans a trace, 128 a request, about 270 B a span
// 1 to 320 spans a trace, each of about 310 B: 300 B to 100 KB. A trace comes in up to 4 requests.
inline constexpr Shape kMixed{"mixed", 4, 8, 40, 5, 20, true};

struct Request {
  std::string grpc;                                          // 5-byte gRPC prefix and ExportTraceServiceRequest
  std::vector<std::pair<std::uint32_t, std::uint32_t>> ids;  // of each span: offset of the trace id, trace in the group
};

struct Group {
  std::vector<Request> requests;
  std::vector<std::size_t> spans;  // of each trace
  std::vector<bool> kept;          // each trace: by error, latency or route
};

// Of protobuf fields: by their numbers, as SDKs write them, or as the Collector does (support/backward_otlp.h).
enum class FieldOrder { kForward, kBackward };

std::vector<Group> make_pool(const Shape& shape, std::size_t groups, std::uint64_t seed,
                             FieldOrder order = FieldOrder::kForward);

// The n-th trace id of a run: looks random, is never repeated.
TraceId nth_id(std::uint64_t run, std::uint64_t n);

// The policies the pool is made for.
inline constexpr std::string_view kPolicies = R"(
    - {name: errors, type: status_code, status_code: {status_codes: [ERROR]}}
    - {name: slow, type: latency, latency: {threshold_ms: 1000}}
    - {name: routes, type: string_attribute, string_attribute: {key: http.route, values: [/checkout, /pay, /refund]}}
    - {name: baseline, type: probabilistic, probabilistic: {sampling_percentage: 1}}
)";

bool kept_by_chance(const TraceId& id);  // by the baseline policy

}  // namespace tailgate::bench

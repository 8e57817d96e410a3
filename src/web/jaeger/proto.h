// SPDX-License-Identifier: Apache-2.0
// The messages of jaeger.storage.v2, which a Jaeger asks its storage with, read and written by hand (jaeger-idl,
// proto/storage/v2). Pure; any thread.
//
// Reading fails with kBadInput and the field. Writing keeps every message below kJaegerMessageMax, since a stock
// Jaeger takes 4 MiB: what does not fit into a list is left out.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "model/ids.h"
#include "store/reader.h"
#include "web/trace_search.h"
#include "wire/trace/trace_view.h"

namespace tailgate {

inline constexpr std::size_t kJaegerMessageMax = 3'500'000;
inline constexpr std::size_t kJaegerIdsMax = 1'000;       // of a GetTracesRequest
inline constexpr std::size_t kJaegerSearchDefault = 100;  // traces, where a search does not say

struct JaegerOperationsRequest {
  std::string service;
  std::string span_kind;  // empty: all
};
struct JaegerTimes {
  std::uint64_t from_ns = 0, to_ns = std::numeric_limits<std::uint64_t>::max();
};

struct JaegerFoundId {
  TraceId id;
  std::uint64_t start_ns = 0, end_ns = 0;
};
inline constexpr std::size_t kJaegerFoundIdsMax = 50'000;  // so many fit into a message

// Of the three Find requests, which are alike.
Result<TraceQuestion> read_jaeger_question(ByteView request);
Result<std::vector<TraceId>> read_jaeger_ids(ByteView request);
Result<JaegerOperationsRequest> read_jaeger_operations(ByteView request);
Result<JaegerTimes> read_jaeger_times(ByteView request);  // GetDependenciesRequest

// Jaeger's word for a kind; "" for the unspecified one.
std::string_view jaeger_kind(std::uint32_t kind);
// Nothing: no span can have that kind.
std::optional<std::uint32_t> jaeger_kind_of(std::string_view word);

std::string jaeger_services(const std::vector<std::string>& services);
std::string jaeger_operations(const std::vector<StoredOperation>& operations);
std::string jaeger_dependencies(const std::vector<StoredDependency>& dependencies);
std::string jaeger_capabilities();
std::string jaeger_summary(const TraceId& id, const TraceView& trace);  // FindTraceSummariesResponse with one
std::string jaeger_found_ids(const std::vector<JaegerFoundId>& found);

// TracesData messages with all spans of a trace, to `take` until it returns false. A span that is too large for a
// message comes without its attributes, events and links, and with the attribute kJaegerCutKey that says so.
inline constexpr std::string_view kJaegerCutKey = "tailgate.span_cut";
bool each_jaeger_message(ByteView otlp, std::size_t bytes_max, const std::function<bool(ByteView)>& take);

}  // namespace tailgate

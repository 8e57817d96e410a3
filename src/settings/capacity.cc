// SPDX-License-Identifier: Apache-2.0
#include "settings/capacity.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/units.h"
#include "settings/assembly.h"

namespace tailgate {
namespace {

// A trace: its header, its place in the table of traces, and what is left over in its last piece, on average.
constexpr double kTraceBytes = 112 + 40 + 80;
// A span: its links and the record's head, less the trace id, which is not stored.
constexpr double kSpanBytes = 8 + 4 - 18;
// The least that is stored of one: its id and times.
constexpr double kSpanBytesMin = 36;
// Links and pieces that are longer than what is in them, on average.
constexpr double kSlack = 1.04;
// Traces are closed by the sweeper, up to this much late.
constexpr Duration kLate = std::chrono::milliseconds(100);
constexpr double kReserve = 1.05;  // rates are not even

// Beyond what any machine has, and what the numbers here can hold.
constexpr std::size_t kMemoryLimitMax = std::size_t{1} << 54;
constexpr std::size_t kTracesMax = kMemoryLimitMax / 4;

double seconds(Duration d) { return std::chrono::duration<double>(d).count(); }

// The bytes of the share `traces` that one second of open traffic takes.
double bytes_per_second(const Traffic& t) {
  const double spans = static_cast<double>(t.trace_spans);
  const double span = std::max(static_cast<double>(t.span_bytes) + kSpanBytes, kSpanBytesMin);
  const double trace = kTraceBytes + spans * span * kSlack;
  return t.spans_per_second / spans * trace * kReserve;
}

std::size_t traces_share(std::size_t memory_limit, const SamplingConfig& sampling, std::size_t tls_connections) {
  const auto at_limit = [&](std::size_t configured, std::size_t by_default, std::size_t then) {
    return configured == by_default ? then : configured;
  };
  const std::size_t caches =
      at_limit(sampling.cache_bytes, default_cache_bytes(sampling.memory_limit), default_cache_bytes(memory_limit)) +
      at_limit(sampling.explain_bytes, default_explain_bytes(sampling.memory_limit),
               default_explain_bytes(memory_limit)) +
      sampling.signal_bytes;
  return budget_caps(memory_limit, caches, tls_connections)[static_cast<std::size_t>(Holder::kTraces)];
}

std::string mib(std::size_t bytes) { return fmt::format("{}MiB", (bytes + kMiB - 1) / kMiB); }

}  // namespace

std::size_t open_bytes(const Traffic& traffic, Duration open) {
  return static_cast<std::size_t>(
      std::min(bytes_per_second(traffic) * (seconds(open) + seconds(kLate)), static_cast<double>(kTracesMax)));
}

Duration open_time(const Traffic& traffic, std::size_t cap) {
  const double s = static_cast<double>(cap) / bytes_per_second(traffic) - seconds(kLate);
  return std::chrono::milliseconds(static_cast<std::int64_t>(std::clamp(s, 0.0, 1e6) * 1000));
}

std::size_t memory_limit_for(std::size_t traces, const SamplingConfig& sampling, std::size_t tls_connections) {
  std::size_t low = kMemoryLimitMin / kMiB, high = kMemoryLimitMax / kMiB;
  while (low < high) {
    const std::size_t middle = low + (high - low) / 2;
    if (traces_share(middle * kMiB, sampling, tls_connections) >= traces) {
      high = middle;
    } else {
      low = middle + 1;
    }
  }
  return low * kMiB;
}

CapacityReport report_capacity(const Traffic& traffic, const SamplingConfig& sampling, std::size_t tls_connections) {
  const Duration wait = sampling.store.limits.decision_wait;
  const std::size_t need = open_bytes(traffic, wait);
  const std::size_t have = traces_share(sampling.memory_limit, sampling, tls_connections);
  const std::size_t limit = memory_limit_for(need, sampling, tls_connections);
  CapacityReport out;
  out.enough = have >= need;
  out.text = fmt::format(
      "{:.0f} spans/s of {}, {} a trace, open for decision_wait ({}):\n"
      "  open traces    need {}, have {}\n"
      "  memory_limit   needs {}, is {}\n",
      traffic.spans_per_second, format_bytes(traffic.span_bytes), traffic.trace_spans, format_duration(wait), mib(need),
      mib(have), mib(limit), mib(sampling.memory_limit));
  if (!out.enough) {
    constexpr Duration kTenth = std::chrono::milliseconds(100);
    const Duration reached = open_time(traffic, have) / kTenth * kTenth;
    out.text += fmt::format("  traces would be decided after {}: raise sampling.memory_limit or lower decision_wait\n",
                            format_duration(reached));
  }
  if (sampling.store.limits.decision_wait_after_root > Duration::zero()) {
    out.text +=
        "  decision_wait_after_root_received decides most traces earlier; this is what is needed if no root comes\n";
  }
  return out;
}

}  // namespace tailgate

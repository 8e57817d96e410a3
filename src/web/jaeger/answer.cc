// SPDX-License-Identifier: Apache-2.0
#include "web/jaeger/answer.h"

#include <map>
#include <string>

namespace tailgate {
namespace {

constexpr int kDependencyShare = 4;  // of what a search may take; then there are the counts that the store keeps

}  // namespace

Result<SearchOutcome> find_for_jaeger(const JaegerShared& shared, const TraceQuestion& question, PieceAnswer& answer,
                                      const std::function<bool(const FoundTrace&)>& take) {
  bool wanted = true;
  return find_traces(
      *shared.options.store, question, shared.options.limits, [&] { return !wanted || answer.cancelled(); },
      [&](const FoundTrace& found) { wanted = wanted && take(found); });
}

Response answer_later(const JaegerSharedPtr& shared, ErrorPage error, Response head,
                      std::function<void(PieceAnswer&)> work, bool needs_store) {
  if (needs_store && shared->options.store == nullptr) return error(503, kJaegerNoStore);
  return shared->pool.later(
      [shared, head = std::move(head), work = std::move(work)](LaterAnswer& later) {
        PieceAnswer answer(later, head, shared->options.limits.time_max);
        work(answer);
      },
      error);
}

Result<std::vector<std::string>> services_for_jaeger(StoreReader& store) {
  auto services = store.services(0, std::numeric_limits<std::uint64_t>::max());
  if (services) std::erase(*services, "");
  return services;
}

Result<std::vector<StoredOperation>> operations_for_jaeger(StoreReader& store, const JaegerOperationsRequest& request) {
  std::optional<std::uint32_t> kind;
  if (!request.span_kind.empty()) {
    kind = jaeger_kind_of(request.span_kind);
    if (!kind) return std::vector<StoredOperation>();
  }
  return store.operations(request.service, kind);
}

Result<std::vector<StoredDependency>> dependencies_for_jaeger(const JaegerShared& shared, const JaegerTimes& times,
                                                              const std::function<bool()>& cancelled) {
  if (shared.calls) return shared.calls(times.from_ns, times.to_ns);
  StoreReader& store = *shared.options.store;
  TraceQuestion all;
  all.from_ns = times.from_ns;
  all.to_ns = times.to_ns;
  all.limit = std::numeric_limits<std::size_t>::max();
  SearchLimits limits = shared.options.limits;
  limits.time_max /= kDependencyShare;
  limits.bytes_max /= kDependencyShare;
  limits.ended = {};  // when it is cut, nothing is missing
  std::map<std::pair<std::string, std::string>, std::uint64_t> calls;
  const Result<SearchOutcome> outcome = find_traces(store, all, limits, cancelled, [&](const FoundTrace& found) {
    const TraceView& trace = found.view;
    if (trace.start_ns() < times.from_ns || trace.end_ns() > times.to_ns) return;
    for (const TraceView::Span& span : trace.spans()) {
      if (span.parent == TraceView::kNone) continue;
      ++calls[{std::string(trace.service_of(trace.spans()[span.parent])), std::string(trace.service_of(span))}];
    }
  });
  if (!outcome) return tl::unexpected(outcome.error());
  if (!outcome->cut.empty()) return store.dependencies(times.from_ns, times.to_ns);
  std::vector<StoredDependency> out;
  for (const auto& [services, count] : calls) out.push_back({services.first, services.second, count});
  return out;
}

}  // namespace tailgate

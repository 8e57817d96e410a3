// SPDX-License-Identifier: Apache-2.0
#include "web/jaeger/answer.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <string>

namespace tailgate {
namespace {

constexpr int kDependencyShare = 4;  // of what a search may take; then there are the counts that the store keeps

Result<std::vector<StoredDependency>> stored_dependencies(const JaegerShared& shared, const JaegerTimes& times,
                                                          const std::function<bool()>& cancelled) {
  StoreReader& store = *shared.options.store;
  TraceQuestion all;
  all.from_ns = times.from_ns;
  all.to_ns = times.to_ns;
  all.limit = std::numeric_limits<std::size_t>::max();
  SearchLimits limits = shared.options.limits;
  limits.time_max /= kDependencyShare;
  limits.bytes_max /= kDependencyShare;
  if (limits.elsewhere) return store.dependencies(times.from_ns, times.to_ns);  // to send all traces would take long
  limits.ended = {};                                                            // when it is cut, nothing is missing
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

Dependencies most_of(std::vector<StoredDependency>&& all, std::size_t max) {
  Dependencies out{std::move(all)};
  if (out.most.size() <= max) return out;
  std::stable_sort(out.most.begin(), out.most.end(), [](const auto& a, const auto& b) { return a.calls > b.calls; });
  for (std::size_t i = max; i != out.most.size(); ++i) out.left_out += out.most[i].calls;
  out.most.resize(max);
  return out;
}

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

Result<StoredTrace> one_of_traces(const JaegerShared& shared, const TraceId& id, const PieceAnswer& answer) {
  if (answer.late())
    return fail(ErrorKind::kUnavailable, "the traces before took as long as web.queries.timeout allows; ask for fewer");
  return shared.options.store->trace(id);
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

Result<Dependencies> dependencies_for_jaeger(const JaegerShared& shared, const JaegerTimes& times,
                                             const std::function<bool()>& cancelled) {
  const SearchLimits& limits = shared.options.limits;
  Dependencies out;
  if (shared.calls) {
    out = shared.calls(times.from_ns, times.to_ns, limits.dependencies_max);
  } else {
    auto stored = stored_dependencies(shared, times, cancelled);
    if (!stored) return tl::unexpected(stored.error());
    out = most_of(std::move(*stored), limits.dependencies_max);
  }
  if (out.left_out != 0 && limits.ended) {
    SearchOutcome outcome;
    outcome.cut = cut_text(out);
    limits.ended(outcome);
  }
  return out;
}

std::string cut_text(const Dependencies& dependencies) {
  if (dependencies.left_out == 0) return {};
  return fmt::format(
      "{} calls are left out: these are the {} pairs of services with the most (web.queries.max_dependencies)",
      dependencies.left_out, dependencies.most.size());
}

}  // namespace tailgate

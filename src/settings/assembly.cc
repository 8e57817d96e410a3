// SPDX-License-Identifier: Apache-2.0
#include "settings/assembly.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/units.h"
#include "base/version.h"
#include "decide/route_filter.h"
#include "settings/hopeless.h"

namespace tailgate {
namespace {

// Code, stacks, allocator slack, connections, gRPC: measured at 25 to 40 MiB under load.
constexpr std::size_t kBaseline = 48 * kMiB;

// Spans that stay where they come from would be kept and read again in two places.
void check_rereads(const DaemonConfig& config, const Receiver& receiver) {
  if (!receiver.rereads()) return;
  const ConfigNode node = config.receivers.child(receiver.name());
  if (!config.journal.directory.empty())
    node.error("expected no `journal` beside it: the topic keeps what is open, and it is read again from there");
  if (config.cluster) node.error("expected no `cluster` beside it: the consumer group says which member gets a trace");
}

void make_receivers(const DaemonConfig& config, Assembly& parts) {
  const ConfigNode& node = config.receivers;
  for (const auto& [name, entry] : node.entries()) {
    const ReceiverType* const type = find_receiver_type(name);
    if (type == nullptr) {
      std::string known;
      for (const ReceiverType& t : receiver_types()) known += fmt::format("{}{}", known.empty() ? "" : ", ", t.name);
      entry.error(fmt::format("expected a receiver this build knows ({})", known));
      continue;
    }
    parts.receivers.push_back(type->make(entry, name));
  }
  if (parts.receivers.empty()) node.error("expected at least one receiver");
  // Each has up to three formats. The journal and the cluster take one each.
  const std::size_t most = (kSourcesMax - (config.cluster ? 2 : 1)) / 3;
  if (parts.receivers.size() > most) node.error(fmt::format("expected at most {} receivers", most));
  for (const auto& receiver : parts.receivers) {
    parts.context.keep_marked |= receiver->marks_spans();
    parts.tls_connections += receiver->tls_connections();
    check_rereads(config, *receiver);
  }
}

void make_exporters(const DaemonConfig& config, Assembly& parts) {
  parts.exporters = Exporters::make(config.exporters, *parts.budget, {.version = std::string(build_version())});
  const Exporters& made = *parts.exporters;
  if (made.size() == 0) config.exporters.error("expected at least one exporter");
  for (std::size_t i = 0; i < made.size(); ++i) {
    parts.context.routes.push_back({made.policies_of(i), made.services_of(i), made.attributes_of(i)});
    if (!bad_pattern(parts.context.routes[i]).empty()) made.node_of(i).error("expected shorter patterns");
    for (const ConfigNode& wanted : made.policies_node(i).items()) {
      if (!is_policy(wanted.scalar(), config.sampling, parts.context.keep_marked))
        wanted.error("expected the name of a policy");
    }
  }
}

struct HostPort {
  std::string host, port;
};

HostPort split(const std::string& endpoint) {
  const auto colon = endpoint.rfind(':');
  if (colon == std::string::npos) return {endpoint, ""};
  return {endpoint.substr(0, colon), endpoint.substr(colon + 1)};
}

bool this_machine(const std::string& host) {
  return host.empty() || host == "localhost" || host.starts_with("127.") || host == "::1" || host == "[::1]" ||
         host == "0.0.0.0" || host == "[::]" || host == "::";
}

// The receiver that listens at `endpoint`, as far as that can be seen; null: none.
const Receiver* receiver_at(const Assembly& parts, const std::string& wanted) {
  const HostPort to = split(wanted);
  if (to.port.empty() || to.port == "0" || (!this_machine(to.host) && to.host != "unix")) return nullptr;
  for (const auto& receiver : parts.receivers) {
    for (const std::string& endpoint : receiver->wanted_endpoints()) {
      const HostPort from = split(endpoint);
      const bool unix_socket = endpoint.starts_with(kUnixScheme) && endpoint == wanted;
      if (unix_socket || (from.port == to.port && this_machine(from.host))) return receiver.get();
    }
  }
  return nullptr;
}

void check_loops(const DaemonConfig& config, const Assembly& parts) {
  for (std::size_t i = 0; i < parts.exporters->size(); ++i) {
    const Receiver* const receiver = receiver_at(parts, parts.exporters->endpoint_of(i));
    if (receiver == nullptr) continue;
    parts.exporters->node_of(i).error(
        "endpoint", fmt::format("expected an endpoint that is not the receiver '{}' of this daemon", receiver->name()));
  }
  if (!config.cluster) return;
  for (const Member& member : config.cluster->listed) {
    const Receiver* const receiver = receiver_at(parts, member.endpoint);
    if (receiver == nullptr || member.name == config.cluster->self) continue;
    config.cluster->node.error("members",
                               fmt::format("expected members elsewhere: '{}' is the receiver '{}' of this daemon, "
                                           "whose name (cluster.self) is '{}'",
                                           member.name, receiver->name(), config.cluster->self));
  }
}

OwnTracesOptions read_own_traces(const ConfigNode& node, const std::vector<std::string>& exporters) {
  OwnTracesOptions out;
  for (const ConfigNode& wanted : node.child("exporters").items()) {
    const auto found = std::find(exporters.begin(), exporters.end(), wanted.scalar());
    if (found == exporters.end()) {
      wanted.error("expected the name of an exporter");
    } else {
      out.exporters |= 1ULL << (found - exporters.begin());
    }
  }
  if (!node.is_null() && node.child("exporters").items().empty())
    node.error("exporters", "expected the names of the exporters that get the daemon's own traces");
  out.slow = node.duration("slow", out.slow, std::chrono::milliseconds(1));
  out.spans_per_minute =
      static_cast<std::uint32_t>(node.integer("spans_per_minute", out.spans_per_minute, {.min = 1, .max = 6000}));
  out.version = build_version();
  node.finish();
  return out;
}

}  // namespace

ByteBudget::Caps budget_caps(std::size_t memory_limit, std::size_t cache_bytes, std::size_t tls_connections) {
  const std::size_t budget = memory_limit - std::min(kBaseline, memory_limit / 3);
  const std::size_t queues = budget / 4;
  // Room for one request of the largest size, compressed and inflated, and some small ones besides it, where the budget
  // allows it.
  const std::size_t requests = std::min(std::max(budget / 8, std::min(80 * kMiB, budget / 4)), 512 * kMiB);
  const std::size_t connections = std::min(tls_connections * kTlsStateBytes, budget / 8);
  const std::size_t taken = queues + requests + cache_bytes + connections;
  return {requests, budget - std::min(budget, taken), queues, cache_bytes, connections};
}

Assembly assemble(const DaemonConfig& config) {
  const SamplingConfig& sampling = config.sampling;
  Assembly parts;
  make_receivers(config, parts);
  const ByteBudget::Caps caps =
      budget_caps(sampling.memory_limit, sampling.cache_bytes + sampling.explain_bytes + sampling.signal_bytes,
                  parts.tls_connections);
  parts.budget = std::make_unique<ByteBudget>(caps);
  parts.store = sampling.store;
  parts.store.pool_bytes = caps[static_cast<std::size_t>(Holder::kTraces)];
  parts.store.prefix_bytes = parts.store.pool_bytes / 8;
  make_exporters(config, parts);
  parts.context.watched = config.signals.attributes();
  parts.context.watched_of_resources = config.signals.resource_attributes();
  if (config.remote_sampling && config.remote_sampling->adaptive)
    parts.context.watched_of_resources.emplace_back("service.name");
  check_loops(config, parts);
  parts.policies = build_policies(sampling, parts.context, *parts.tables, 1, config.sampling_node);
  // A reload may bring more predicates: one word more has room for 64. Beyond that /explain has votes without their
  // reasons.
  parts.store.limits.explain_words = std::min(kTraceWordsMax, parts.policies->plan().words() + 1);
  if (sampling.policies.empty()) config.sampling_node.notice("no policies: nothing will be kept");
  if (config.issues->errors.empty()) notice_hopeless_policies(sampling);  // it reads them again
  parts.own_traces = read_own_traces(config.own_traces, parts.exporters->names());
  return parts;
}

tl::expected<ReloadedPolicies, std::vector<std::string>> reload_policies(const ConfigSource& source,
                                                                         const ReloadOptions& running) {
  const Result<DaemonConfig> config = read_daemon_config(source);
  if (!config) return tl::unexpected(std::vector{config.error().text});
  assemble(*config);  // with tables of its own
  const SamplingConfig& sampling = config->sampling;
  const ConfigNode& node = config->sampling_node;
  const bool on_purpose = node.child("policies").is_list() && node.child("policies").items().empty();
  if (sampling.policies.empty() && running.had_policies && !on_purpose)
    node.error("policies", "expected policies, as there were some before; `policies: []` says that nothing is kept");
  for (const RouteRule& route : running.context.routes) {
    for (const std::string& wanted : route.policies) {
      if (is_policy(wanted, sampling, running.context.keep_marked)) continue;
      node.error("policies", fmt::format("expected a policy named '{}': an exporter routes by it", wanted));
    }
  }
  if (!config->issues->errors.empty()) return tl::unexpected(messages(config->issues->errors));
  ReloadedPolicies out;
  out.notices = messages(config->issues->notices);
  out.policies = build_policies(sampling, running.context, running.tables, running.epoch, node);
  if (!config->issues->errors.empty()) return tl::unexpected(messages(config->issues->errors));
  out.any = !sampling.policies.empty();
  out.written = written_policies(sampling);
  out.patterns = config->watched_files();
  if (config->remote_sampling) out.strategies = config->remote_sampling->strategies;
  if (config->cluster) out.members = config->cluster->listed;
  out.at_start = config->at_start;
  return out;
}

}  // namespace tailgate

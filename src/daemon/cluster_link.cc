// SPDX-License-Identifier: Apache-2.0
#include "daemon/cluster_link.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>
#include <thread>

#include "base/hash.h"
#include "base/version.h"
#include "decide/verdict_words.h"
#include "export/exporters.h"
#include "export/registry.h"
#include "telemetry/log.h"

namespace tailgate {
namespace {

constexpr std::size_t kVerdictsOfShard = 20'000;
// Members ask each other every second, so after this all of them know.
constexpr Duration kLinger = std::chrono::milliseconds(2'200);
constexpr Duration kRetryMax = std::chrono::milliseconds(500);
constexpr Duration kRoomWait = std::chrono::milliseconds(5);
constexpr std::string_view kLaneOf = "\x1f";  // between a policy's name and the number of a lane

// `sending_queue.max_bytes`, or 0.
std::size_t queue_bytes_max(const ConfigNode& node) {
  ExporterDefaults defaults;
  defaults.queue_bytes_max = SIZE_MAX;
  defaults.endpoint = "localhost:1";
  const std::size_t out = read_otlp_grpc_exporter(node, defaults).queue.bytes_max;
  return out != SIZE_MAX ? out : 0;
}

SendQueueOptions member_queue() {
  SendQueueOptions out;
  out.flush_timeout = std::chrono::milliseconds(50);
  // What waits for a member that is back must be there before its traces are decided.
  out.retry.initial_interval = std::chrono::milliseconds(100);
  out.retry.max_interval = kRetryMax;
  return out;
}

}  // namespace

ClusterLink::ClusterLink(ClusterConfig config, const ClusterParts& parts)
    : config_(std::move(config)),
      parts_(parts),
      forwarder_(
          {.queue_bytes_max = queue_bytes_max(config_.node)}, parts_.budget,
          [this](const std::string& name, const std::string& endpoint, Hop hop) {
            return exporter_to(name, endpoint, hop);
          },
          [this](const TraceId& id) { return parts_.store.knows(id); },
          [this](std::size_t bytes) { return parts_.sink.make_room(bytes, false); }),
      cluster_(config_, forwarder_, hooks()) {}

ClusterHooks ClusterLink::hooks() {
  return {.all_here = parts_.all_here,
          .await = [this](const auto& awaited) { await(awaited); },
          .hand_over =
              [this](const auto& wanted) {
                if (!parts_.all_here()) return false;
                return parts_.store.hand_over_to(wanted, [this](ByteView otlp, std::uint32_t) { return take(otlp); });
              },
          .route_again = [this](const KeptTrace& request, const auto& written) { return take(request.otlp, written); },
          .verdicts = [this](const auto& wanted) { return verdicts(wanted); },
          .remember = [this](const auto& told) { remember(told); },
          .limits_asked = [this] { return limits_asked(); },
          .set_shares = [this](const auto& limits, const auto& shares,
                               double of_each_key) { set_shares(limits, shares, of_each_key); }};
}

void ClusterLink::await(const std::vector<Awaited>& awaited) {
  std::set<std::string> names, before;
  for (const Awaited& one : awaited) names.insert(one.name);
  {
    const MutexLock lock(awaited_mutex_);
    for (const Awaited& one : awaited_) before.insert(one.name);
    awaited_ = awaited;
  }
  put_off_verdicts();
  if (names == before) return;
  if (names.empty()) return log_info("cluster: members that were away are back, or given up");
  log_info("cluster: verdicts of traces that moved wait for members that are away",
           {{"members", fmt::format("{}", fmt::join(names, ", "))}});
}

// A replay decides nothing that was open at the end: it may have been waited with, and the spans it waited for may come
// later in the journal.
void ClusterLink::put_off_verdicts() {
  const MutexLock lock(awaited_mutex_);
  if (awaited_.empty() && parts_.all_here()) return parts_.store.set_waits(nullptr);
  parts_.store.set_waits(
      std::make_shared<const Waits>([awaited = awaited_, all_here = parts_.all_here](const TraceId& id) {
        const auto concerns = [&](const Awaited& one) { return one.concerns(id); };
        return !all_here() || std::any_of(awaited.begin(), awaited.end(), concerns);
      }));
}

// A limiter has a limit for each lane, and one over all of them: `composite`.
std::vector<FleetLimit> ClusterLink::limits_asked() const {
  std::vector<FleetLimit> out;
  for (const auto& [name, asked] : parts_.tables.limiters.take_asked()) {
    double total = 0;
    for (std::size_t lane = 0; lane < asked.asked.size(); ++lane) {
      out.push_back({fmt::format("{}{}{}", name, kLaneOf, lane), asked.asked[lane], asked.rates[lane]});
      total += asked.asked[lane];
    }
    if (asked.total_rate > 0) out.push_back({name, total, asked.total_rate});
  }
  return out;
}

void ClusterLink::set_shares(const std::vector<FleetLimit>& limits, const std::vector<FleetLimits::Share>& shares,
                             double of_each_key) const {
  const TimePoint now = monotonic_now();
  std::map<std::string, LimitShares> by_name;
  for (std::size_t i = 0; i < limits.size(); ++i) {
    const std::string& name = limits[i].name;
    const std::size_t lane = name.rfind(kLaneOf);
    if (lane == std::string::npos) {
      by_name[name].total = shares[i].share;
    } else {
      by_name[name.substr(0, lane)].lanes.push_back(shares[i].share);  // they come in their order
    }
  }
  for (auto& [name, of] : by_name) parts_.tables.limiters.set_shares(name, std::move(of), now);
  parts_.tables.limiters.set_share_of_keyed(of_each_key, now);
  if (parts_.head != nullptr) parts_.head->set_share(of_each_key);
}

std::unique_ptr<ExportRunner> ClusterLink::exporter_to(const std::string& name, const std::string& endpoint,
                                                       Hop hop) const {
  ExporterDefaults defaults;
  // Room is made before a request is taken, so this bound is never reached.
  defaults.queue_bytes_max = 2 * parts_.budget.cap(Holder::kQueues);
  defaults.user_agent = "Tailgate/" + std::string(build_version());
  defaults.endpoint = endpoint;
  const std::string number = std::to_string(static_cast<int>(hop));
  defaults.headers.emplace_back(kHopHeader, number);
  if (!config_.self.empty()) defaults.headers.emplace_back(kFromHeader, config_.self);
  defaults.gzip = false;
  // A call that waits for the connection goes out as soon as there is one, and not after a wait of ours.
  defaults.wait_for_ready = true;
  defaults.reconnect_max = kRetryMax;
  defaults.queue = member_queue();
  ExporterParts made = read_otlp_grpc_exporter(config_.node, defaults);
  if (made.exporter == nullptr) return nullptr;
  made.queue.bytes_max = defaults.queue_bytes_max;
  made.queue.seed = random_seed();
  return std::make_unique<ExportRunner>(fmt::format("cluster/{}/{}", name, number), std::move(made.exporter),
                                        made.queue);
}

std::vector<ToldVerdict> ClusterLink::verdicts(const std::function<bool(const TraceId&)>& wanted) const {
  std::vector<ToldVerdict> out;
  parts_.store.last_verdicts(kVerdictsOfShard, [&](const TraceId& id, const Verdict& verdict) {
    if (!wanted(id)) return;
    out.push_back({id, static_cast<std::uint8_t>(verdict.decision), static_cast<std::uint8_t>(verdict.reason),
                   verdict.complete, verdict.chance, verdict.shed,
                   verdict_words(verdict, parts_.tables, parts_.exporters)});
  });
  return out;
}

void ClusterLink::remember(const std::vector<ToldVerdict>& told) const {
  for (const ToldVerdict& one : told) {
    Verdict verdict;
    verdict.decision = static_cast<Decision>(one.decision);
    verdict.reason = static_cast<CloseReason>(one.reason);
    verdict.complete = one.complete;
    verdict.chance = one.chance;
    verdict.shed = one.shed;
    parts_.store.remember(one.id, verdict_from_words(verdict, one.words, parts_.tables, parts_.exporters));
  }
}

bool ClusterLink::take(ByteView otlp, const std::function<void(bool)>& written) {
  const IngestResult result = ingest_->accept(source_, otlp, nullptr, {Hop::kStart, true});
  if (result.kind != IngestResult::Kind::kAccepted) return false;
  if (result.receipt != nullptr && written) result.receipt->then(written);
  if (result.receipt == nullptr && written) written(true);
  return true;
}

void ClusterLink::start(IngestPipeline& ingest, SourceId source) {
  ingest_ = &ingest;
  source_ = source;
  cluster_.start();
}

void ClusterLink::leave(TimePoint deadline) {
  const TimePoint began = monotonic_now();
  cluster_.leave((deadline - began) / 2);
  if (cluster_.status().names.empty()) return;  // nobody is there to take anything
  std::uint64_t traces = 0, spans = 0;
  const auto take_in_time = [&](ByteView otlp, std::uint32_t count) {
    while (monotonic_now() > deadline || !take(otlp)) {
      if (monotonic_now() > deadline) return false;
      std::this_thread::sleep_for(kRoomWait);
    }
    ++traces;
    spans += count;
    return true;
  };
  parts_.store.hand_over_to([](const TraceId&) { return true; }, take_in_time);
  log_info("cluster: open traces handed over", {{"traces", traces}, {"spans", spans}});
  std::this_thread::sleep_until(std::min(began + kLinger, deadline));
}

namespace {

std::vector<ClusterStatus::Limit> limits_of_policies(const ClusterStatus& s) {
  std::map<std::string, ClusterStatus::Limit> out;
  for (const ClusterStatus::Limit& one : s.limits) {
    const std::string policy = one.name.substr(0, one.name.rfind(kLaneOf));
    if (policy == one.name) {
      out[policy] = one;
    } else {
      out.try_emplace(policy, ClusterStatus::Limit{policy, one.share});
    }
  }
  std::vector<ClusterStatus::Limit> list;
  for (auto& [policy, one] : out) list.push_back(std::move(one));
  return list;
}

boost::json::array names_of(const std::vector<std::string>& names) {
  boost::json::array out;
  for (const std::string& name : names) out.push_back(boost::json::value(name));
  return out;
}

// By policy: of a composite the total, of others their one lane.
boost::json::array limits_json(const ClusterStatus& s) {
  boost::json::array out;
  for (const ClusterStatus::Limit& one : limits_of_policies(s)) {
    out.push_back(boost::json::object{{"policy", one.name},
                                      {"share", one.share.share},
                                      {"needs_per_second", one.share.need},
                                      {"members_need_per_second", one.share.fleet_need}});
  }
  return out;
}

boost::json::value version_of(std::uint64_t version) {
  return version != 0 ? boost::json::value(fmt::format("{:016x}", version)) : boost::json::value(nullptr);
}

}  // namespace

boost::json::object ClusterLink::status() const {
  namespace json = boost::json;
  const ClusterStatus s = cluster_.status();
  const TimePoint now = monotonic_now();
  json::array members;
  for (const MemberState& one : s.members) {
    json::object m;
    m["name"] = one.member.name;
    const bool self = one.member.name == s.self;
    m["endpoint"] = self ? json::value(nullptr) : json::value(one.member.endpoint);
    m["self"] = self;
    m["listed"] = one.listed;
    m["home"] = one.in_force;
    m["home_before"] = one.before;
    m["reachable"] = one.answered;
    m["leaving"] = one.leaving;
    m["awaited"] = one.awaited;
    m["heard_seconds_ago"] =
        one.heard ? json::value(std::chrono::duration<double>(now - *one.heard).count()) : json::value(nullptr);
    m["view_version"] = version_of(one.version);
    m["queue_bytes"] = forwarder_.queue_bytes(one.member.name);
    m["error"] = one.error.empty() ? json::value(nullptr) : json::value(one.error);
    members.push_back(std::move(m));
  }
  json::object out;
  out["self"] = s.self.empty() ? json::value(nullptr) : json::value(s.self);
  out["leaving"] = s.leaving;
  out["view"] = json::object{{"version", version_of(s.version)}, {"members", names_of(s.names)}};
  out["settling"] = s.settling;
  if (s.settling)
    out["view_before"] = json::object{{"version", version_of(s.version_before)}, {"members", names_of(s.names_before)}};
  out["disagreeing"] = s.disagreeing;
  out["limits"] = limits_json(s);
  out["members"] = std::move(members);
  return out;
}

OtherMembers ClusterLink::asking(Duration timeout, bool search) {
  return {.self = config_.self,
          .ask =
              [this, timeout, search](auto question, auto done) {
                cluster_.ask(std::move(question), timeout, search,
                             [done = std::move(done)](const std::vector<Cluster::Answered>& all) {
                               MemberAnswers out;
                               for (const Cluster::Answered& one : all)
                                 out.push_back({one.name, one.answer, one.error});
                               done(std::move(out));
                             });
              },
          .count =
              [this] {
                const std::vector<MemberState> members = cluster_.status().members;
                return static_cast<std::size_t>(
                    std::count_if(members.begin(), members.end(),
                                  [&](const MemberState& m) { return m.answered && m.member.name != config_.self; }));
              },
          .timeout = timeout};
}

void ClusterLink::collect(MetricWriter& out) const {
  const ClusterStatus status = cluster_.status();
  std::size_t present = 0, unheard = 0, awaited = 0;
  for (const MemberState& one : status.members) {
    present += one.in_force ? 1 : 0;
    unheard += one.listed && !one.answered ? 1 : 0;
    awaited += one.awaited ? 1 : 0;
  }
  out.add(metric::kClusterMembers, {"in_force"}, number(present));
  out.add(metric::kClusterMembers, {"silent"}, number(unheard));
  out.add(metric::kClusterMembers, {"awaited"}, number(awaited));
  out.add(metric::kClusterDisagree, {}, number(status.disagreeing));
  out.add(metric::kClusterSettling, {}, status.settling ? 1 : 0);
  out.add(metric::kClusterViews, {}, number(status.views));
  out.add(metric::kClusterLookups, {"success"}, number(status.lookups));
  out.add(metric::kClusterLookups, {"failure"}, number(status.lookups_failed));
  out.add(metric::kClusterVerdicts, {"told"}, number(status.verdicts_told));
  out.add(metric::kClusterVerdicts, {"heard"}, number(status.verdicts_heard));
  out.add(metric::kClusterReturned, {}, number(status.returned_spans));
  out.add(metric::kClusterLimitMembers, {}, number(status.limits_heard));
  for (const ClusterStatus::Limit& one : limits_of_policies(status))
    out.add(metric::kClusterLimitShare, {one.name}, one.share.share);
  std::set<std::string> seen;  // a member with a new address may have queues of both
  forwarder_.each([&](const std::string&, const ExportRunner& runner) {
    if (seen.insert(runner.name()).second) Exporters::collect(runner, out, {std::string(kPolicy)}, true);
  });
}

}  // namespace tailgate

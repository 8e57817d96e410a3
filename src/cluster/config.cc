// SPDX-License-Identifier: Apache-2.0
#include "cluster/config.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/units.h"
#include "cluster/message.h"
#include "export/export_config.h"
#include "export/registry.h"

namespace tailgate {
namespace {

constexpr Duration kSettleMore = std::chrono::seconds(5);     // than decision_wait: questions, queues
constexpr Duration kSettleMoreMin = std::chrono::seconds(2);  // likewise, where `settle` is given

// It goes into a header, a label and a path.
bool is_name(const std::string& name) {
  return !name.empty() && name.size() <= 253 && std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           std::string_view("-._:").find(c) != std::string_view::npos;
  });
}

constexpr std::string_view kNameWanted = "expected a name of letters, digits and - . _ :";

void notice_strange_self(const ConfigNode& node, const std::vector<Member>& members, const std::string& self) {
  if (!self.empty() && std::none_of(members.begin(), members.end(), [&](const Member& m) { return m.name == self; }))
    node.notice(fmt::format("'{}' (cluster.self) is not in the list: it owns nothing new", self));
}

std::vector<Member> read_static(const ConfigNode& node, const std::string& self) {
  std::vector<Member> out;
  for (const ConfigNode& item : node.items()) {
    Member member{item.text("name"), item.text("endpoint")};
    if (!is_name(member.name)) item.error("name", kNameWanted);
    if (!split_host_port(member.endpoint))
      item.error("endpoint", "expected host:port, where the member takes OTLP over gRPC");
    item.finish();
    const auto same = [&](const Member& other) { return other.name == member.name; };
    if (std::any_of(out.begin(), out.end(), same)) item.error("name", "expected a name that no other member has");
    out.push_back(std::move(member));
  }
  if (out.empty()) node.error("expected a list of members, {name, endpoint} each");
  if (out.size() > kMembersMax) node.error(fmt::format("expected at most {} members", kMembersMax));
  notice_strange_self(node, out, self);
  return out;
}

// Pods of a StatefulSet have names that follow from its own, and stay when the pod is another.
std::vector<Member> read_stateful_set(const ConfigNode& node, const std::string& self) {
  const std::string name = node.text("name"), service = node.text("service");
  const std::int64_t replicas = node.integer("replicas", 0, {.min = 1, .max = kMembersMax});
  const std::int64_t port = node.integer("port", 4317, {.min = 1, .max = 65'535});
  if (!is_name(name)) node.error("name", kNameWanted);
  if (!is_name(service)) node.error("service", "expected the name of the headless service of the StatefulSet");
  if (!node.has("replicas")) node.error("replicas", "expected how many pods there may be at most");
  node.finish();
  std::vector<Member> out;
  for (std::int64_t i = 0; i < replicas; ++i)
    out.push_back({fmt::format("{}-{}", name, i), fmt::format("{}-{}.{}:{}", name, i, service, port)});
  notice_strange_self(node, out, self);
  return out;
}

std::optional<DnsMembers> read_dns(const ConfigNode& node) {
  if (node.is_null()) return std::nullopt;
  DnsMembers out;
  out.service = node.text("service");
  if (out.service.empty()) node.error("service", "expected the name of a headless service");
  out.port = static_cast<std::uint16_t>(node.integer("port", 4317, {.min = 1, .max = 65'535}));
  node.finish();
  return out;
}

}  // namespace

std::vector<Member> ClusterConfig::members_of(const std::vector<std::string>& addresses) const {
  std::vector<Member> out;
  for (const std::string& address : addresses) {
    if (out.size() == kMembersMax) break;
    const bool v6 = address.find(':') != std::string::npos;
    out.push_back({address, fmt::format("{}{}{}:{}", v6 ? "[" : "", address, v6 ? "]" : "", dns->port)});
  }
  // A pod is in DNS when it is ready, which it is when it is a member.
  if (!self.empty() && std::none_of(out.begin(), out.end(), [&](const Member& m) { return m.name == self; }))
    out.push_back({self, ""});
  return out;
}

std::optional<ClusterConfig> read_cluster(const ConfigNode& node, Duration decision_wait) {
  if (!node.present()) return std::nullopt;
  ClusterConfig out;
  out.node = node;
  out.self = node.text("self");
  if (!out.self.empty() && !is_name(out.self)) node.error("self", kNameWanted);
  const ConfigNode members = node.child("members");
  const bool fixed = members.has("static"), pods = members.has("stateful_set"), dns = members.has("dns");
  if (fixed + pods + dns != 1) node.error("members", "expected one of `static`, `stateful_set` and `dns`");
  if (fixed) out.listed = read_static(members.child("static"), out.self);
  if (pods) out.listed = read_stateful_set(members.child("stateful_set"), out.self);
  out.may_be_fewer = pods;
  if (dns) out.dns = read_dns(members.child("dns"));
  members.finish();
  out.settle = node.duration("settle", decision_wait + kSettleMore, decision_wait + kSettleMoreMin);
  out.hold = node.duration("hold", std::chrono::seconds(60), std::chrono::seconds(3));
  out.fleet_limits = node.choice("limits", "fleet", {"fleet", "member"}) == "fleet";
  out.fleet_search = node.choice("search", "member", {"member", "fleet"}) == "fleet";
  // As the exporters will.
  const ExporterParts exporter = read_otlp_grpc_exporter(node, {.endpoint = "localhost:1"});
  if (!exporter.queue.durable.directory.empty())
    node.child("sending_queue").error("directory", "expected a queue in memory: what waits for members is in no file");
  node.finish();
  return out;
}

}  // namespace tailgate

// SPDX-License-Identifier: Apache-2.0
// The section `cluster` of the configuration. Keys of connections (`tls`, `headers`, `timeout`, `sending_queue`, ...)
// are those of the exporter `otlp`. Threads: main.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "cluster/members.h"
#include "config/config_node.h"

namespace tailgate {

struct DnsMembers {
  std::string service;  // its addresses are the members' names
  std::uint16_t port = 0;
  bool operator==(const DnsMembers&) const = default;
};

struct ClusterConfig {
  std::string self;            // empty: owns nothing
  std::vector<Member> listed;  // `members.static` or `members.stateful_set`
  std::optional<DnsMembers> dns;
  Duration settle{}, hold{};
  bool may_be_fewer = false;  // not all that are listed need to be there: pods that an autoscaler may make
  bool fleet_limits = true;   // rate limits hold for all members together
  bool fleet_search = false;  // members ask each other for stored traces
  ConfigNode node;            // where the connections to the members read their keys

  // Addresses of DNS as members.
  std::vector<Member> members_of(const std::vector<std::string>& addresses) const;
};

// Nothing when the section is not there. `decision_wait`: settle is longer.
std::optional<ClusterConfig> read_cluster(const ConfigNode& node, Duration decision_wait);

}  // namespace tailgate

// SPDX-License-Identifier: Apache-2.0
#include "migrate/instead.h"

#include <fmt/format.h>

namespace tailgate {
namespace {

struct Instead {
  std::string_view kind, type;  // type "" is any other
  std::string_view text;
};

constexpr std::string_view kCleaning =
    "what it removes or changes goes out as it came: do it in the SDK, or in a Collector behind Tailgate, and in one "
    "in front where policies look at it";
constexpr std::string_view kResource =
    "set these attributes in the SDK (OTEL_RESOURCE_ATTRIBUTES), or in a Collector in front where policies look at "
    "them";
constexpr std::string_view kMetrics =
    "let a Collector in front make it of all spans: what Tailgate keeps is a sample of them";

// The first row that fits.
constexpr Instead kInstead[] = {
    {"exporter", "loadbalancing",
     "docs/high-availability.md#balancing-by-trace-id says how all spans of a trace come to one of several Tailgates"},
    {"exporter", "", "send by otlp to a Collector behind Tailgate that has it"},
    {"receiver", "", "put a Collector that has it in front, and let that send by otlp"},
    {"processor", "attributes", kCleaning},
    {"processor", "redaction", kCleaning},
    {"processor", "resource", kCleaning},
    {"processor", "span", kCleaning},
    {"processor", "transform", kCleaning},
    {"processor", "k8s_attributes", kResource},
    {"processor", "k8sattributes", kResource},
    {"processor", "resourcedetection", kResource},
    {"processor", "filter",
     "spans are not taken out of traces: a policy of type drop drops whole ones, and the SDK or a Collector in front "
     "takes out single spans"},
    {"processor", "", "do it in the SDK, or in a Collector in front of Tailgate or behind it"},
    {"connector", "count", kMetrics},
    {"connector", "", "keep a Collector for it, in front of Tailgate or behind it"},
};

}  // namespace

std::string none_such(std::string_view kind, std::string_view type) {
  for (const Instead& one : kInstead) {
    if (one.kind == kind && (one.type.empty() || one.type == type))
      return fmt::format("Tailgate has no such {}; {}", kind, one.text);
  }
  return fmt::format("Tailgate has no such {}", kind);
}

}  // namespace tailgate

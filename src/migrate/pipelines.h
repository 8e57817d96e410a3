// SPDX-License-Identifier: Apache-2.0
// Part of migrate.cc: reads the `service.pipelines` of a Collector.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "migrate/tree.h"

namespace tailgate {

struct Ref {
  std::string id;  // "otlp/2"
  Origin at;
};

struct Pipeline {
  std::string name;  // "traces/2"
  Origin at;
  std::vector<Ref> receivers, processors, exporters;
};

struct Pipelines {
  // Those carried over: the first that samples, and those that sample by the same processors. `forward` connectors are
  // followed, so a pipeline here may be several of the Collector's.
  std::vector<Pipeline> carried;
  std::vector<Ref> signals;    // connectors that count all spans of a carried pipeline: spanmetrics, servicegraph
  std::set<std::string> used;  // "receivers.otlp": by any pipeline, of any signal, carried or not
};

Pipelines read_pipelines(const Trees& trees, Report& report);

bool is_sampler(std::string_view processor_type);
// The section that does here what a connector of this type does; "" when there is none.
std::string_view signal_section(std::string_view connector_type);

}  // namespace tailgate

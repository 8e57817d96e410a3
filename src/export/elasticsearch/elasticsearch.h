// SPDX-License-Identifier: Apache-2.0
// elasticsearch: what the reader of its keys (config.cc) hands to the exporter (elasticsearch.cc), and the index
// templates (templates.cc).
#pragma once

#include <memory>
#include <string>

#include "export/http/http_exporter.h"
#include "export/time_range.h"

namespace tailgate {

struct ElasticsearchOptions {
  HttpExporterOptions http;
  std::string prefix;  // of index names, with its '-'; "": none
  bool use_aliases = false;
  bool create_templates = true;
  std::int64_t shards = 5, replicas = 1;
  TimeRange time_range;  // of the names of indices
};

std::unique_ptr<Exporter> make_elasticsearch_exporter(ElasticsearchOptions options);

// Bodies of PUT _index_template/..., with Jaeger's mappings.
std::string span_template(const ElasticsearchOptions& options);
std::string service_template(const ElasticsearchOptions& options);

}  // namespace tailgate

// SPDX-License-Identifier: Apache-2.0
// The mappings under which Jaeger finds spans again: texts are keywords, and tags are nested with fixed fields, so that
// key and value belong together and a new tag does not create a new field.
#include <fmt/format.h>

#include "export/elasticsearch/elasticsearch.h"

namespace tailgate {
namespace {

constexpr std::string_view kKeyword = R"({"type":"keyword","ignore_above":256})";
constexpr std::string_view kLong = R"({"type":"long"})";

std::string nested(const std::string& properties) {
  return fmt::format(R"({{"type":"nested","dynamic":false,"properties":{{{}}}}})", properties);
}

std::string tags() { return nested(fmt::format(R"("key":{0},"value":{0},"type":{0})", kKeyword)); }

// Jaeger can be configured to write tags as fields of their own.
std::string tag_fields(std::string_view name, std::string_view path) {
  return fmt::format(R"({{"{}":{{"mapping":{},"path_match":"{}.*"}}}})", name, kKeyword, path);
}

std::string index_template(const ElasticsearchOptions& options, std::string_view index, const std::string& properties) {
  return fmt::format(
      R"({{"index_patterns":["{}{}-*"],"template":{{"settings":{{"index.number_of_shards":{},)"
      R"("index.number_of_replicas":{},"index.mapping.nested_fields.limit":50,"index.requests.cache.enable":true}},)"
      R"("mappings":{{"dynamic_templates":[{},{}],"properties":{{{}}}}}}}}})",
      options.prefix, index, options.shards, options.replicas, tag_fields("span_tags_map", "tag"),
      tag_fields("process_tags_map", "process.tag"), properties);
}

}  // namespace

std::string span_template(const ElasticsearchOptions& options) {
  std::string p;
  for (const char* name : {"traceID", "parentSpanID", "spanID", "operationName"}) {
    p += fmt::format(R"("{}":{},)", name, kKeyword);
  }
  p += fmt::format(R"("startTime":{0},"duration":{0},"startTimeMillis":{{"type":"date","format":"epoch_millis"}},)",
                   kLong);
  p += R"("flags":{"type":"integer"},"tag":{"type":"object"},)";
  p += fmt::format(R"("tags":{},)", tags());
  p += fmt::format(R"("logs":{},)", nested(fmt::format(R"("timestamp":{},"fields":{})", kLong, tags())));
  p += fmt::format(R"("references":{},)", nested(fmt::format(R"("refType":{0},"traceID":{0},"spanID":{0})", kKeyword)));
  p += fmt::format(R"("process":{{"properties":{{"serviceName":{},"tag":{{"type":"object"}},"tags":{}}}}})", kKeyword,
                   tags());
  return index_template(options, "jaeger-span", p);
}

std::string service_template(const ElasticsearchOptions& options) {
  return index_template(options, "jaeger-service", fmt::format(R"("serviceName":{0},"operationName":{0})", kKeyword));
}

}  // namespace tailgate

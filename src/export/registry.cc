// SPDX-License-Identifier: Apache-2.0
#include "export/registry.h"

#include <array>

namespace tailgate {

ExporterParts read_debug_exporter(const ConfigNode&, const ExporterDefaults&);          // debug.cc
ExporterParts read_elasticsearch_exporter(const ConfigNode&, const ExporterDefaults&);  // elasticsearch/config.cc
ExporterParts read_file_exporter(const ConfigNode&, const ExporterDefaults&);           // file.cc
ExporterParts read_kafka_exporter(const ConfigNode&, const ExporterDefaults&);          // kafka/config.cc
ExporterParts read_otlp_http_exporter(const ConfigNode&, const ExporterDefaults&);      // otlp/http.cc
ExporterParts read_s3_exporter(const ConfigNode&, const ExporterDefaults&);             // s3/config.cc
ExporterParts read_store_exporter(const ConfigNode&, const ExporterDefaults&);          // store.cc
ExporterParts read_zipkin_exporter(const ConfigNode&, const ExporterDefaults&);         // zipkin/zipkin.cc

namespace {

constexpr std::array kExporterTypes = {
    ExporterType{"debug", "", read_debug_exporter},
    ExporterType{"elasticsearch", "", read_elasticsearch_exporter},
    ExporterType{"file", "", read_file_exporter},
    ExporterType{"kafka", "", read_kafka_exporter},
    ExporterType{"otlp", "otlp_grpc", read_otlp_grpc_exporter},
    ExporterType{"otlphttp", "otlp_http", read_otlp_http_exporter},
    ExporterType{"s3", "", read_s3_exporter},
    ExporterType{"store", "", read_store_exporter},
    ExporterType{"zipkin", "", read_zipkin_exporter},
};

}  // namespace

std::span<const ExporterType> exporter_types() { return kExporterTypes; }

const ExporterType* find_exporter_type(std::string_view type) {
  for (const ExporterType& t : kExporterTypes) {
    if (type == t.type || (type == t.alias && !type.empty())) return &t;
  }
  return nullptr;
}

}  // namespace tailgate

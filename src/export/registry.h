// SPDX-License-Identifier: Apache-2.0
// Every exporter type this build knows. The table in registry.cc is the only list.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "config/config_node.h"
#include "export/exporter.h"

namespace tailgate {

struct ExporterDefaults {
  std::size_t queue_bytes_max = 64 << 20;
  std::string user_agent = "Tailgate";
  // Of `otlp` alone, for exporters that no section `exporters` names: the endpoint, further headers, and what is in
  // force where a key is absent.
  std::string endpoint = {};
  std::vector<std::pair<std::string, std::string>> headers = {};
  bool gzip = true;
  bool wait_for_ready = false;
  Duration reconnect_max = std::chrono::seconds(5);  // between two attempts to connect
  SendQueueOptions queue = {};
};

struct ExporterParts {
  std::unique_ptr<Exporter> exporter;  // null when the configuration has errors
  SendQueueOptions queue;
  std::string endpoint;  // "host:port" of a network exporter, "" otherwise
  // That the exporter needs for itself alone, "" otherwise.
  std::string directory = {};
};

// Reads the keys of one exporter; `policies` is asked for by the caller, as is finish().
using ReadExporter = ExporterParts (*)(const ConfigNode& node, const ExporterDefaults& defaults);
ExporterParts read_otlp_grpc_exporter(const ConfigNode&, const ExporterDefaults&);  // otlp/grpc.cc

struct ExporterType {
  std::string_view type;
  std::string_view alias;  // another accepted name, or ""
  ReadExporter read;
};

std::span<const ExporterType> exporter_types();
// By type or alias; null when there is none.
const ExporterType* find_exporter_type(std::string_view type);

}  // namespace tailgate

// SPDX-License-Identifier: Apache-2.0
// DaemonConfig: the whole configuration of the daemon as a value. assemble() (assembly.h) makes live objects from it.
// It is never changed after it was read; a reload reads a new one. Threads: main.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "cluster/config.h"
#include "config/config_file.h"
#include "head/config.h"
#include "net/auth/auth.h"
#include "net/limits.h"
#include "net/server/listen.h"
#include "net/tls/tls.h"
#include "settings/journal.h"
#include "settings/sampling.h"
#include "signals/signals.h"
#include "telemetry/log.h"

namespace tailgate {

struct PageConfig {
  std::string endpoint;
  unsigned socket_mode = kSocketModeDefault;
  std::optional<TlsOptions> tls;
  std::optional<AuthOptions> auth = {};
  // A scraper, probes, a few people. They are in no account of memory: probes have to be answered when it is full.
  ServerLimits limits{.connections = 256, .connections_per_address = 64, .streams = 8};
};

// Of the searches that the pages do.
struct QueriesConfig {
  std::size_t threads = 0, waiting_max = 0;
  std::size_t dependencies_max = 0;  // pairs of services in one answer
  Duration timeout{};
  std::uint64_t bytes_max = 0;        // of OTLP, unpacked, of one search
  std::uint64_t trial_bytes_max = 0;  // likewise, of the traces that policies are tried on
};

struct DaemonConfig {
  std::shared_ptr<ConfigIssues> issues;  // what assemble() finds comes here too. Errors: the daemon must not start
  SamplingConfig sampling;
  PageConfig metrics, health, web;
  std::vector<std::string> web_hosts;  // names by which browsers may ask for its pages, in lower case
  QueriesConfig queries;
  SignalsConfig signals;
  std::optional<RemoteSamplingConfig> remote_sampling;  // none: off
  PageConfig remote_sampling_http;
  LogOptions logs;
  Duration shutdown_timeout{};
  JournalOptions journal;  // without a directory there is none
  KeepConfig keep;
  std::optional<ClusterConfig> cluster;  // none: off
  bool hand_over = false;                // what is open at the end is left to the next process
  std::size_t io_threads = 0;            // 0: one per core
  // Sections whose types read them when assemble() makes the parts: exporters, receivers, telemetry.traces; and where
  // what concerns the policies is reported.
  ConfigNode receivers, exporters, own_traces, sampling_node;
  std::map<std::string, std::string> at_start;  // path and text of what is read at the start only

  // Patterns of the files that a reload reads besides the main one, relative to it.
  std::vector<std::string> watched_files() const;
};

struct ConfigSource {
  std::string path;
  std::vector<std::string> overrides;
  std::optional<std::string> text = std::nullopt;  // instead of what is at `path`
  Environment environment = nullptr;               // the process's when empty
};

// Fails only when a file cannot be read or is not YAML; everything else is in `issues`.
Result<DaemonConfig> read_daemon_config(const ConfigSource& source);

}  // namespace tailgate

// SPDX-License-Identifier: Apache-2.0
// DeadLetters: what a backend will never take, kept in a file for a person to look at. One OTLP JSON line per trace, as
// the file exporter writes them, and in it why:
//     {"resourceSpans":[...],"tailgate":{"exporter":"otlp/jaeger","reason":"permanent","detail":"...","policy":"errors",
//      "time_unix_nano":"1790000000000000000"}}
// Readers of OTLP JSON pass over the key they do not know, so the file can be sent again.
//
// Threads: the runner's.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "export/queue/send_queue.h"
#include "telemetry/rotating_file.h"
#include "wire/otlp/item_limits.h"

namespace tailgate {

class DeadLetters {
 public:
  DeadLetters(std::string path, const RotationOptions& options) : file_(std::move(path), options, true) {}

  Result<void> start() { return file_.open(); }
  void follow_path() { file_.follow_path(); }
  Result<void> write(std::span<const KeptTracePtr> traces, std::string_view exporter, std::string_view reason,
                     std::string_view detail, std::uint64_t now_unix_ns, CutItems& cut);

 private:
  RotatingFile file_;
  std::string lines_;
};

}  // namespace tailgate

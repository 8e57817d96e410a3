// SPDX-License-Identifier: Apache-2.0
// debug: one readable line per kept trace on standard output or standard error.
//     debug: {verbosity: basic, output_paths: [stdout]}
//   2026-05-04T10:11:12.345Z 4bf92f3577b34da6a3ce929d0e0e4736 shop "GET /checkout" 1.203s spans=12 errors=1
//   policy=errors close_reason=root
// The time is when the line is written, in the form of the log. Late spans of a trace say late=true. A terminal that is
// gone loses lines: they are counted failed, reason `io`.
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/clock.h"
#include "base/units.h"
#include "codec/calendar.h"
#include "codec/json_text.h"
#include "export/export_config.h"
#include "export/registry.h"
#include "model/span_times.h"

namespace tailgate {
namespace {

// Names come from strangers, and must not end the line.
void append_name(std::string& out, std::string_view name) {
  constexpr std::size_t kShown = 200;
  append_json_string(out, name.substr(0, kShown), JsonEscapes::kLine);
  if (name.size() > kShown) out.insert(out.size() - 1, "...");
}

std::string time_of_line() {
  const std::uint64_t ms = wall_now_ns() / 1'000'000;
  const UtcTime t = utc_time(static_cast<std::int64_t>(ms / 1000));
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z ", t.year, t.month, t.day, t.hour, t.minute, t.second,
                     ms % 1000);
}

std::string readable(std::uint64_t start_ns, std::uint64_t end_ns) {
  if (!is_time(start_ns) || !is_time(end_ns) || end_ns < start_ns) return "?";
  const std::int64_t ns = duration_ns(start_ns, end_ns);
  const std::int64_t unit = ns >= 1'000'000'000 ? 1'000'000 : ns >= 1'000'000 ? 1'000 : 1;  // four digits or so
  return format_duration(Duration(ns / unit * unit));
}

class DebugExporter final : public BlockingExporter {
 public:
  explicit DebugExporter(int fd) : fd_(fd) {}
  Result<void> start() override { return {}; }

 protected:
  SendResult write(const Batch& batch) override {
    const std::string time = time_of_line();
    std::string lines;
    for (const KeptTracePtr& t : batch.traces) append_line(lines += time, *t);
    std::string_view rest = lines;
    while (!rest.empty()) {
      const ssize_t n = ::write(fd_, rest.data(), rest.size());
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return SendResult::permanent(FailReason::kIo, std::strerror(errno));
      rest.remove_prefix(static_cast<std::size_t>(n));
    }
    return SendResult::done();
  }

 private:
  static void append_line(std::string& out, const KeptTrace& t) {
    out += t.id.hex();
    out += ' ';
    append_name(out, t.root_service);
    out += ' ';
    append_name(out, t.root_name);
    fmt::format_to(std::back_inserter(out), " {} spans={} errors={} policy={} close_reason={}{}{}{}\n",
                   readable(t.start_ns, t.end_ns), t.spans, t.errors, t.policy,
                   kCloseReasonNames[static_cast<std::size_t>(t.verdict.reason)],
                   t.has_root || t.late ? "" : " root=none", t.late ? " late=true" : "",
                   t.parts > 1 ? fmt::format(" part={}/{}", t.part + 1, t.parts) : "");
  }

  int fd_;
};

}  // namespace

ExporterParts read_debug_exporter(const ConfigNode& node, const ExporterDefaults& defaults) {
  ExporterParts parts;
  const std::string verbosity = node.choice("verbosity", "basic", {"basic", "normal", "detailed"});
  if (verbosity != "basic") node.child("verbosity").notice("written as `basic`: one line per trace");
  const std::vector<std::string> outputs = node.texts("output_paths");
  int fd = STDOUT_FILENO;
  if (outputs.size() > 1 || (outputs.size() == 1 && outputs[0] != "stdout" && outputs[0] != "stderr")) {
    node.child("output_paths").error("expected [stdout] or [stderr]");
  } else if (!outputs.empty() && outputs[0] == "stderr") {
    fd = STDERR_FILENO;
  }
  node.without_effect({"sampling_initial", "sampling_thereafter", "use_internal_logger"});
  parts.queue.bytes_max = defaults.queue_bytes_max;
  parts.queue.in_flight_max = 1;
  parts.queue.divide = false;
  read_queue(node, parts.queue);
  parts.exporter = std::make_unique<DebugExporter>(fd);
  return parts;
}

}  // namespace tailgate
